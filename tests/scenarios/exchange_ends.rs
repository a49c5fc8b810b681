//! What is left of an exchange that ended or was dropped, and what it does not wait for.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};

use otp_grant::exchange::{Engine, NoSigner, Step, drive};
use otp_grant::wire::Unavailable;
use otp_grant_tests::*;
use pollster::block_on;

/// "To drop a step is to drop the request, at any step." What the request owned is gone with it, and the request does
/// nothing more.
#[test]
fn nothing_of_an_exchange_goes_on_after_its_end() {
    for polls in 0.. {
        let host = Host::new();
        let sent = block_on(host.send(&sms_send(PHONE)));
        let grant = sms_grant(PHONE, &sent).to_string();
        // Each call of the store waits before it takes effect, and after.
        host.store.yields.store(1, SeqCst);
        let owned = Arc::new(());
        let witness = Arc::downgrade(&owned);
        let step = Engine::of(&host.server).perform(move |server| async move {
            let _owned = owned;
            let request = json_request(&grant, None).to("POST", "/oauth2/token");
            server.handle(request, async |_| panic!("a grant delivers a code")).await.unwrap()
        });
        let no_delivery = async |_| panic!("a grant delivers a code");
        let mut driven = Box::pin(drive(step, &host.store, &host.directory, &NoSigner, no_delivery));
        let mut context = Context::from_waker(Waker::noop());
        let ended = (0..polls).find_map(|_| match driven.as_mut().poll(&mut context) {
            Poll::Ready(reply) => Some(reply),
            Poll::Pending => None,
        });
        let (calls, told) = (host.store.calls.load(SeqCst), host.counters.told.lock().unwrap().len());
        drop(driven);
        assert!(witness.upgrade().is_none(), "after {polls} polls, the request is still there");
        assert_eq!(host.store.calls.load(SeqCst), calls, "after {polls} polls");
        assert_eq!(host.counters.told.lock().unwrap().len(), told, "after {polls} polls");
        if let Some(reply) = ended {
            assert_eq!(reply.status(), 200);
            // Several calls of the store, each with two waits.
            assert!(polls > 4, "{polls}");
            return;
        }
    }
}

/// "An exchange waits for nothing but an answer": also not for what would be there soon.
#[test]
fn an_exchange_does_not_try_again_what_is_not_ready() {
    let host = Host::new();
    let work = |_| async {
        let mut is_ready = false;
        std::future::poll_fn(|_| if std::mem::replace(&mut is_ready, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
        Ok::<(), Unavailable>(())
    };
    let step = Engine::of(&host.server).perform(work);
    assert!(matches!(step, Step::Done(Err(Unavailable))), "{step:?}");
    assert_eq!(host.counters.faults.load(SeqCst), 1);
}
