//! The difference of two texts, line by line.

/// Lines of each text at most: beyond that, one text replaces the other.
const MAX_LINES: usize = 4_000;

/// The difference as people read it: a mark before each line, everything shown.
pub fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut out = String::new();
    let mut add = |mark: char, line: &str| {
        out.push(mark);
        out.push_str(line);
        out.push('\n');
    };
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        old.iter().for_each(|line| add('-', line));
        new.iter().for_each(|line| add('+', line));
        return out;
    }
    // The longest common subsequence, from the end.
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    let at = |i: usize, j: usize| i * width + j;
    for (i, one) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            let read = |place: usize| longest.get(place).copied().unwrap_or(0);
            let value = if one == other {
                read(at(i + 1, j + 1)) + 1
            } else {
                read(at(i + 1, j)).max(read(at(i, j + 1)))
            };
            if let Some(cell) = longest.get_mut(at(i, j)) {
                *cell = value;
            }
        }
    }
    let read = |place: usize| longest.get(place).copied().unwrap_or(0);
    let (mut i, mut j) = (0, 0);
    loop {
        match (old.get(i), new.get(j)) {
            (Some(one), Some(other)) if one == other => {
                add(' ', one);
                i += 1;
                j += 1;
            }
            (Some(one), other) if other.is_none() || read(at(i + 1, j)) >= read(at(i, j + 1)) => {
                add('-', one);
                i += 1;
            }
            (_, Some(other)) => {
                add('+', other);
                j += 1;
            }
            _ => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_stays() {
        assert_eq!(difference("a\nb\nc", "a\nx\nc\nd"), " a\n-b\n+x\n c\n+d\n");
        assert_eq!(difference("", "a"), "+a\n");
        assert_eq!(difference("a", ""), "-a\n");
    }
}
