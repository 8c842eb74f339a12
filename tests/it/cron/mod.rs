//! Jobs by the clock: the timetable of the house, and schedules under a time that the test moves.

mod calendar;
mod house;
mod takeover;
mod virtual_time;
mod world;
