//! Step 4: what an eavesdropper learns when both processes go on with the same keys.

mod two_ends_tls;

use std::error::Error;

use two_ends_tls::records::Direction;

// ANCHOR: main
fn main() -> Result<(), Box<dyn Error>> {
    // The old process has given these away, and has not heard whether they were taken. So it goes on, too.
    let [mut old, mut new] = [Direction::new(&[7; 16], &[7; 12], 5)?, Direction::new(&[7; 16], &[7; 12], 5)?];
    let (mut first, mut second) = (Vec::new(), Vec::new());
    old.seal("404: there is no such page", &mut first)?;
    new.seal("your password is swordfish", &mut second)?;

    // The eavesdropper has no key, only the two records, and knows what a 404 looks like here.
    let head = 5;
    let secret = first[head..].iter().zip(&second[head..]).zip(b"404: there is no such page");
    let read = secret.map(|((first, second), known)| char::from(first ^ second ^ known)).collect::<String>();
    println!("the eavesdropper reads {read:?}");
    Ok(())
}
// ANCHOR_END: main
