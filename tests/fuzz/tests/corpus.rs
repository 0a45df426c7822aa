//! Every input that a fuzzer found worth keeping is tried again.

use std::fs;
use std::path::Path;
use std::time::Instant;

fn main() {
    for (name, run) in fuzz::TARGETS {
        let began = Instant::now();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut inputs: Vec<_> = files.map(|file| file.expect("it can be listed").path()).collect();
        inputs.sort();
        for path in &inputs {
            println!("{}", path.display());
            run(&fs::read(path).expect("it can be read"));
        }
        println!("{name}: {} inputs in {:?}", inputs.len(), began.elapsed());
    }
}
