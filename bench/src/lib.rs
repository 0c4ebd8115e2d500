//! The benchmark of Domicile: every figure is a ratio against a control in the same run.
//!
//! Recipe for a figure: a row in [`figure::FIGURES`], then a function in `figures` that prepares both sides, proves that they
//! are equal, and hands both to the rounds. Rules: control and subject take turns; a control writes the same rows into the
//! same tables with the same durability, and [`work`] proves it; every answer is compared with [`world`], which shares no
//! code with the product; any error, any wrong answer and any inequality makes the figure void and the program fail; a
//! figure that cannot be measured stands in the table all the same.

#![recursion_limit = "256"]

pub mod control;
pub mod data;
pub mod decision;
pub mod figure;
pub mod figures;
pub mod load;
pub mod machine;
pub mod process;
pub mod progress;
pub mod report;
pub mod stats;
pub mod target;
pub mod work;
pub mod world;
