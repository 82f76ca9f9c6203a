//! What bars say of a run: what is missed without an argument, and which arguments are spare.

use super::arguments::Argument;
use super::tables::exact;
use super::verdicts::Verdict;

/// By what part of a bar its figure may be over and not be a fault, though it is missed: the C library copies as suits the
/// processor, so that the same program has some instructions more on one machine than on another.
const LEEWAY: f64 = 0.01;

/// Bars that are missed although their figure is the same in each run, and nobody says why: a line each.
pub(super) fn faults(arguments: &[Argument], verdicts: &[Verdict]) -> Vec<String> {
    let is_argued = |verdict: &Verdict| arguments.iter().any(|argument| argument.is_about(verdict));
    let is_over = |it: &&Verdict| it.repeats && it.figure > it.at_most * (1.0 + LEEWAY);
    let faults = verdicts.iter().filter(is_over).filter(|it| !is_argued(it));
    let line =
        |it: &Verdict| format!("missed: {}: {}: {}, at most {}", it.id, it.pair(), exact(it.figure), exact(it.at_most));
    faults.map(line).collect()
}

/// Arguments about bars that were measured, and all hold.
pub(super) fn spare<'a>(arguments: &'a [Argument], verdicts: &'a [Verdict]) -> impl Iterator<Item = &'a Argument> {
    arguments.iter().filter(|argument| {
        let mut about = verdicts.iter().filter(|verdict| argument.is_about(verdict)).peekable();
        about.peek().is_some() && about.all(Verdict::holds)
    })
}

/// Arguments about no bar that was measured, of which there is none where all were.
pub(super) fn stray<'a>(arguments: &'a [Argument], verdicts: &'a [Verdict]) -> impl Iterator<Item = &'a Argument> {
    arguments.iter().filter(|argument| !verdicts.iter().any(|verdict| argument.is_about(verdict)))
}

#[cfg(test)]
mod tests {
    use super::super::arguments::argument;
    use super::*;

    const ARGUMENTS: &[Argument] = &[argument("row", "ours", "instructions", "for a reason")];

    fn verdict(id: &str, figure: f64, repeats: bool) -> Verdict {
        Verdict {
            id: id.to_owned(),
            work: String::new(),
            ours: "ours",
            rival: Some("theirs"),
            what: "instructions".to_owned(),
            figure,
            span: None,
            at_most: 1.0,
            repeats,
        }
    }

    #[test]
    fn a_miss_that_repeats_is_a_fault_unless_it_is_argued() {
        let faults = |verdict| faults(ARGUMENTS, &[verdict]);
        assert_eq!(
            faults(verdict("other", 1.1, true)),
            ["missed: other: ours / theirs, instructions: 1.100, at most 1.000"]
        );
        assert!(faults(verdict("other", 1.0, true)).is_empty(), "it holds");
        assert!(faults(verdict("other", 1.009, true)).is_empty(), "another machine may say otherwise");
        assert_eq!(faults(verdict("other", 1.011, true)).len(), 1);
        assert!(faults(verdict("other", 1.1, false)).is_empty(), "the next run may say otherwise");
        assert!(faults(verdict("row", 1.1, true)).is_empty(), "there is an argument");
    }

    #[test]
    fn an_argument_for_a_bar_that_holds_is_spare() {
        let spare = |verdicts: &[Verdict]| spare(ARGUMENTS, verdicts).count();
        assert_eq!(spare(&[verdict("row", 1.0, true)]), 1);
        assert_eq!(spare(&[verdict("row", 1.0, true), verdict("row", 1.1, true)]), 0, "one of its bars is missed");
        assert_eq!(spare(&[verdict("other", 1.0, true)]), 0, "nothing was measured that it is about");
    }

    #[test]
    fn an_argument_about_no_bar_is_stray() {
        assert_eq!(stray(ARGUMENTS, &[verdict("other", 1.1, true)]).count(), 1);
        assert_eq!(stray(ARGUMENTS, &[verdict("row", 1.1, true)]).count(), 0);
    }
}
