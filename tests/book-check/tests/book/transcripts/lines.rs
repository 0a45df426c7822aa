//! The lines that a step waits for.
//!
//! The invariant: no line is taken for two, and where nothing orders two lines, the reader sees them in the script's order.

/// The index of a line for each of `parts`, which it contains; if they are all there.
pub(crate) fn find(lines: &[String], parts: &[String]) -> Option<Vec<usize>> {
    parts.iter().try_fold(Vec::new(), |mut found, part| {
        let fits = |(index, line): &(usize, &String)| line.contains(part.as_str()) && !found.contains(index);
        let (index, _) = lines.iter().enumerate().find(fits)?;
        found.push(index);
        Some(found)
    })
}

/// The lines of `text`. Those that contain `parts` change places among each other, into the order of the parts.
pub(crate) fn in_order(text: &str, parts: &[String]) -> String {
    let lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
    let found = find(&lines, parts).unwrap_or_default();
    let mut places = found.clone();
    places.sort_unstable();
    let mut ordered = lines.clone();
    for (place, index) in places.into_iter().zip(found) {
        ordered[place].clone_from(&lines[index]);
    }
    ordered.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn every_part_has_a_line_of_its_own() {
        let lines = strings(&["draining", "listening", "listening again"]);
        assert_eq!(find(&lines, &strings(&["listening", "drain"])), Some(vec![1, 0]));
        assert_eq!(find(&lines, &strings(&["listening", "listening"])), Some(vec![1, 2]));
        assert_eq!(find(&lines, &strings(&["draining", "draining"])), None);
    }

    #[test]
    fn the_lines_awaited_together_are_put_in_order_and_the_others_stay() {
        let parts = strings(&["child starts", "parent waits"]);
        let text = "$ run\nparent waits\nnoise\nchild starts\n";
        assert_eq!(in_order(text, &parts), "$ run\nchild starts\nnoise\nparent waits\n");
        assert_eq!(in_order("a\nb\n", &strings(&["b"])), "a\nb\n");
    }
}
