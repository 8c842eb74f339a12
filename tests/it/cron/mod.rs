//! Jobs by the clock: the timetable of the house, and schedules under a time that the test moves.

mod calendar;
mod house;
pub mod killed;
mod season;
mod takeover;
mod virtual_time;
pub mod world;
