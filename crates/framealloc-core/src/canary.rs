//! Mutation canaries: known bugs, each behind `--cfg canary="NAME"`, which show that the tests would see such a bug.
//!
//! Promises that without the cfg nothing of them is compiled. `proof/canaries` builds each and names the job that catches it.

/// What the code does, and what it does wrongly under the canary of this name.
macro_rules! canary {
    ($name:literal, $right:expr, $wrong:expr) => {{
        #[cfg(not(canary = $name))]
        {
            $right
        }
        #[cfg(canary = $name)]
        {
            $wrong
        }
    }};
}
