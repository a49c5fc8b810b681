//! Requests that run only as far as a test lets them.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Runs a request up to the point where it waits. Returns false if it has ended.
pub fn waits<T>(request: &mut Pin<Box<impl Future<Output = T>>>) -> bool {
    request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Polls a future this many times and drops it. Returns its answer if it finished.
pub fn drop_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..polls).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    })
}
