//! Sound as samples: changing its rate, reading files, and the music of a waiting caller.

pub mod music;
pub mod resample;
pub mod wav;
