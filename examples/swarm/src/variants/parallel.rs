//! As `reused`, but that contacts are gathered in a `Parallel<Vec>`, one `Vec` a thread, in a `Local`: Bevy's own way to gather from tasks. What is
//! gathered is drained into one list, whose order is another one each time.

use bevy_ecs::prelude::*;
use bevy_utils::Parallel;

use super::reused::{self, Shared};
use super::{Systems, in_parts};
use crate::heap::ours;
use crate::model::{Contact, Grid, Reach};

pub fn systems() -> Systems {
    Systems { narrow_phase: narrow_phase.into_configs(), ..reused::systems::<false>() }
}

fn narrow_phase(reach: Res<Reach>, mut shared: ResMut<Shared>, mut found: Local<Parallel<Vec<Contact>>>) {
    let Shared { starts, sorted, contacts, .. } = &mut *shared;
    let grid = Grid { reach: &reach, starts, sorted };
    in_parts(|part| {
        let mut found = found.borrow_local_mut();
        grid.contacts(part, |contact| found.push(contact));
    });
    ours(|| {
        contacts[0].clear();
        found.drain_into(&mut contacts[0]);
    });
}
