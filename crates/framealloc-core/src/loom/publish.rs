//! Published values: read on another thread while their frame is open, and gone when it has ended.
//!
//! A handle brings no order of its own: it is sent through something that does, here a lock. What the allocator adds is that
//! a frame ends after all that was done under leases.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Ledger, Watched, end_frame, model, spawn};
use crate::frame::FrameHandle;
use crate::sync::Mutex;

type Mailbox = Arc<Mutex<Option<FrameHandle<Watched>>>>;

fn mailbox() -> Mailbox {
    Arc::new(Mutex::new(None))
}

#[test]
fn loom_value_is_read_under_a_lease_before_its_frame_ends() {
    model(|| {
        let (ledger, drops) = (Ledger::new(), Arc::new(AtomicUsize::new(0)));
        let mut alloc = ledger.alloc();
        alloc.begin_frame();
        let (lease, sent) = (alloc.lease(), mailbox());
        let received = Arc::clone(&sent);
        let reader = spawn(move || {
            let handle = *received.lock();
            if let Some(handle) = handle {
                assert_eq!(lease.get(handle).unwrap().read(), 7);
            }
            drop(lease);
        });
        let handle = alloc.publish(Watched::new(7, &drops));
        *sent.lock() = Some(handle);
        end_frame(&mut alloc);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        assert!(alloc.get(handle).is_err());
        // The memory serves the next frame.
        alloc.publish(Watched::new(8, &drops));
        reader.join().unwrap();
        drop(alloc);
        ledger.assert_all_back();
    });
}

#[test]
fn loom_value_published_under_a_lease_is_read_by_the_owner() {
    model(|| {
        let (ledger, drops) = (Ledger::new(), Arc::new(AtomicUsize::new(0)));
        let mut alloc = ledger.alloc();
        alloc.begin_frame();
        let (lease, received) = (alloc.lease(), mailbox());
        let (sent, counted) = (Arc::clone(&received), Arc::clone(&drops));
        let writer = spawn(move || {
            let handle = lease.publish(Watched::new(7, &counted));
            *sent.lock() = Some(handle);
            *lease.frame().alloc(1u32) += 1;
        });
        let handle = *received.lock();
        if let Some(handle) = handle {
            assert_eq!(alloc.get(handle).unwrap().read(), 7);
        }
        // The writer's arena is reset here, by another thread than its own, which may be dying.
        end_frame(&mut alloc);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        alloc.begin_frame();
        let next = Arc::clone(&drops);
        alloc.publish(Watched::new(8, &next));
        writer.join().unwrap();
        end_frame(&mut alloc);
        assert_eq!(drops.load(Ordering::Relaxed), 2);
        drop(alloc);
        ledger.assert_all_back();
    });
}
