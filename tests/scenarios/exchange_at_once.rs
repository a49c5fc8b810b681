//! Exchanges whose work asks several things at once, gives some of them up, or runs inside other work.
//!
//! "A question owns its exchange, and an answer takes the question. So each question is answered at most once, and each
//! answer reaches its own exchange. No question outlives its exchange. The work of `Engine::perform` can ask several
//! things at once: the host still gets one question at a time, in order, and none is lost."

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures::future::join_all;
use otp_grant::directory::ClientRegistry;
use otp_grant::exchange::{self, Asking, Engine, NoSigner, Step, drive};
use otp_grant::wire::Unavailable;
use otp_grant::{AuthorizationServer, Client, ClientId};
use otp_grant_tests::*;
use pollster::block_on;

type AskingServer = AuthorizationServer<Asking, Asking>;

fn host() -> (Host, Engine) {
    let host = Host::new();
    let engine = Engine::of(&host.server);
    (host, engine)
}

fn id(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

/// Looks a client up, and returns the name of the one that was found.
async fn found(server: &AskingServer, name: &str) -> String {
    let client = server.directory().client(&id(name)).await.unwrap().unwrap();
    client.id().as_str().to_owned()
}

/// Answers each question with a client of the name that was asked for. Returns the names in their order.
fn finish<T: exchange::Outcome>(mut step: Step<T>) -> (T, Vec<String>) {
    let mut asked = Vec::new();
    loop {
        assert!(asked.len() < 1000, "it asks for ever");
        step = match step {
            Step::Done(outcome) => return (outcome, asked),
            Step::Client(ask) => {
                let id = ask.question().clone();
                asked.push(id.as_str().to_owned());
                ask.answer(Some(Arc::new(Client::public(id))))
            }
            other => panic!("{other:?}"),
        };
    }
}

#[test]
fn many_questions_at_once_are_asked_in_their_order() {
    let (host, engine) = host();
    // Above thirty, `join_all` polls only what was woken.
    for count in [2, 30, 31, 200] {
        let names: Vec<String> = (0..count).map(|number| format!("client-{number}")).collect();
        let wanted = names.clone();
        let step = engine.perform(|server| async move {
            Ok::<_, Unavailable>(join_all(wanted.iter().map(|name| found(&server, name))).await)
        });
        assert_eq!(finish(step), (Ok(names.clone()), names));
    }
    assert_eq!(host.counters.faults.load(SeqCst), 0);
}

#[test]
fn answers_wait_for_who_asked() {
    let (host, engine) = host();
    let names = ["one", "two", "three", "four"].map(str::to_owned);
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let wanted = names.clone();
        let step = engine.perform(move |server| async move {
            let mut begun: Vec<_> = wanted.iter().map(|name| Some(Box::pin(found(&server, name)))).collect();
            // All are asked, and none is looked at again before another question was asked and answered.
            for asks in begun.iter_mut().flatten() {
                assert!(futures::poll!(asks.as_mut()).is_pending());
            }
            assert_eq!(found(&server, "another").await, "another");
            let mut answers = Vec::new();
            for place in order {
                answers.push(begun[place].take().unwrap().await);
            }
            Ok::<_, Unavailable>(answers)
        });
        let (answers, asked) = finish(step);
        assert_eq!(answers, Ok(order.map(|place| names[place].clone()).to_vec()));
        assert_eq!(asked, ["one", "two", "three", "four", "another"]);
    }
    assert_eq!(host.counters.faults.load(SeqCst), 0);
}

/// A whole login that its host sets aside after each of its questions.
#[test]
fn a_login_that_is_set_aside_goes_on() {
    for polls in 1..=9 {
        let (host, engine) = host();
        let grant = sms_grant(PHONE, &block_on(host.send(&sms_send(PHONE)))).to_string();
        let step = engine.perform(move |server| async move {
            let request = json_request(&grant, None).to("POST", "/oauth2/token");
            let mut login = Box::pin(server.handle(request, async |_| panic!("a grant delivers a code")));
            let mut left = polls;
            poll_fn(|context| {
                assert!(login.as_mut().poll(context).is_pending());
                left -= 1;
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            for other in [PUBLIC_CLIENT, CLIENT] {
                assert_eq!(found(&server, other).await, other);
            }
            Ok::<_, Unavailable>(login.await.unwrap().status())
        });
        let no_delivery = async |_| panic!("a grant delivers a code");
        let status = block_on(drive(step, &host.store, &host.directory, &NoSigner, no_delivery));
        assert_eq!(status, Ok(200), "set aside after {polls} polls");
        assert_eq!(host.counters.faults.load(SeqCst), 0);
    }
}

/// The first of two futures waits for what the second does with its answer.
#[test]
fn what_waits_for_an_answer_to_another_question_goes_on() {
    let (_, engine) = host();
    let step = engine.perform(|server| async move {
        let (sender, receiver) = futures::channel::oneshot::channel();
        let (first, ()) = futures::join!(async { receiver.await.unwrap() }, async {
            sender.send(found(&server, "second").await).unwrap();
        });
        Ok::<_, Unavailable>(first)
    });
    assert_eq!(finish(step).0, Ok("second".to_owned()));
}

/// "An exchange waits for nothing but an answer." Work that asks anew whenever it is polled never waits for its answer.
#[test]
fn work_that_asks_anew_at_each_poll_ends() {
    let (host, engine) = host();
    let step = engine.perform(|server| async move {
        let asks_anew = poll_fn(|context| std::pin::pin!(found(&server, "again")).poll(context));
        Ok::<_, Unavailable>(asks_anew.await)
    });
    assert_eq!(finish(step), (Err(Unavailable), Vec::new()));
    assert_eq!(host.counters.faults.load(SeqCst), 1);
}

#[test]
fn what_was_given_up_is_not_asked() {
    let (host, engine) = host();
    let step = engine.perform(|server| async move {
        let mut asks = ["one", "two", "three", "four"].map(|name| Some(Box::pin(found(&server, name))));
        let mut answers = Vec::new();
        poll_fn(|context| {
            for asking in &mut asks {
                if let Some(Poll::Ready(answer)) = asking.as_mut().map(|asks| asks.as_mut().poll(context)) {
                    answers.push(answer);
                    *asking = None;
                }
            }
            // In the first poll, two are given up: the next question, and one behind it.
            (asks[0], asks[2]) = (None, None);
            if answers.len() == 2 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        Ok::<_, Unavailable>(answers)
    });
    let (answers, asked) = finish(step);
    assert_eq!(
        (answers.unwrap(), asked),
        (vec!["two".to_owned(), "four".to_owned()], vec!["two".to_owned(), "four".to_owned()])
    );
    assert_eq!(host.counters.faults.load(SeqCst), 0);
}

/// A host that no longer looks at one of two things which it does at once, and looks at the other more often than it
/// must.
#[test]
fn an_answer_to_what_nobody_looks_at_reaches_nobody_else() {
    let (_, engine) = host();
    let step = engine.perform(|server| async move {
        let (mut left, mut other) = (Box::pin(found(&server, "left")), Box::pin(found(&server, "other")));
        let mut has_begun = false;
        let answer = poll_fn(|context| match std::mem::replace(&mut has_begun, true) {
            false => left.as_mut().poll(context),
            true => match other.as_mut().poll(context) {
                Poll::Pending => other.as_mut().poll(context),
                ready => ready,
            },
        });
        Ok::<_, Unavailable>(answer.await)
    });
    assert_eq!(finish(step), (Ok("other".to_owned()), vec!["left".to_owned(), "other".to_owned()]));
}

/// A failure of a host. When it is dropped it begins to ask, as an error can that logs to the host's own service.
struct Failure {
    server: Arc<AskingServer>,
    _alive: Arc<()>,
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Failure")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a failure of the host")
    }
}

impl std::error::Error for Failure {}

impl Drop for Failure {
    fn drop(&mut self) {
        let mut asks = Box::pin(found(&self.server, "while it is dropped"));
        assert!(asks.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}

/// The asker is dropped before its answer is there, or after it. The answer is gone with it, and the exchange goes on.
#[test]
fn no_answer_outlives_who_asked() {
    type Kept = Arc<Mutex<Option<Pin<Box<dyn Future<Output = String> + Send>>>>>;
    for is_early in [true, false] {
        let (host, engine) = host();
        let (kept, shown) = (Kept::default(), Arc::new(Mutex::new(None)));
        let (keep, show) = (Arc::clone(&kept), Arc::clone(&shown));
        let step = engine.perform(move |server| async move {
            let server = Arc::new(server);
            *show.lock().unwrap() = Some(Arc::clone(&server));
            let mut asks: Pin<Box<dyn Future<Output = String> + Send>> = Box::pin({
                let server = Arc::clone(&server);
                async move { found(&server, "given up").await }
            });
            assert!(futures::poll!(asks.as_mut()).is_pending());
            *keep.lock().unwrap() = Some(asks);
            let mut is_first = true;
            // The answer is there when this is polled for the second time.
            poll_fn(|_| if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }).await;
            let mut next = Box::pin(found(&server, "next"));
            assert!(futures::poll!(next.as_mut()).is_pending());
            drop(keep.lock().unwrap().take());
            Ok::<_, Unavailable>(next.await)
        });
        let Step::Client(first) = step else { panic!("{step:?}") };
        if is_early {
            drop(kept.lock().unwrap().take());
        }
        let alive = Arc::new(());
        let server = shown.lock().unwrap().clone().unwrap();
        let failure = Failure { server, _alive: Arc::clone(&alive) };
        let step = first.failed(failure);
        assert!(matches!(&step, Step::Client(ask) if ask.question() == &id("next")), "{step:?}");
        assert_eq!(Arc::strong_count(&alive), 1, "the answer is still there");
        assert_eq!(finish(step).0, Ok("next".to_owned()));
        assert_eq!(host.counters.faults.load(SeqCst), 0);
    }
}

/// A host that serves one request while another one runs on the same thread, to its end or to a panic.
#[test]
fn an_exchange_inside_another_leaves_it_as_it_was() {
    let (host, engine) = host();
    let inner = engine.clone();
    let step = engine.perform(move |server| async move {
        let others = async {
            let step = inner.perform(|server| async move { Ok::<_, Unavailable>(found(&server, "inner").await) });
            let panicking = async |_| -> Result<(), Unavailable> { panic!("the work of the inner exchange") };
            let panics = || inner.perform(panicking);
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
            finish(step)
        };
        // The first question of the outer exchange is asked, and not yet taken out, when the inner one begins.
        Ok::<_, Unavailable>(futures::join!(found(&server, "outer"), others))
    });
    let (found, asked) = finish(step);
    assert_eq!(found, Ok(("outer".to_owned(), (Ok("inner".to_owned()), vec!["inner".to_owned()]))));
    assert_eq!((asked, host.counters.faults.load(SeqCst)), (vec!["outer".to_owned()], 0));
}

#[test]
fn the_ports_of_an_exchange_are_of_no_use_to_another() {
    let (_, engine) = host();
    let shown = Arc::new(Mutex::new(None));
    let show = Arc::clone(&shown);
    let one = engine.perform(move |server| async move {
        let server = Arc::new(server);
        *show.lock().unwrap() = Some(Arc::clone(&server));
        Ok::<_, Unavailable>(found(&server, "one").await)
    });
    let server: Arc<AskingServer> = shown.lock().unwrap().clone().unwrap();
    let other = engine.perform(move |_| async move { Ok::<_, Unavailable>(found(&server, "other").await) });
    // The host is not asked for it by this exchange, and neither by the one whose ports these are.
    assert!(matches!(other, Step::Done(Err(Unavailable))), "{other:?}");
    assert_eq!(finish(one), (Ok("one".to_owned()), vec!["one".to_owned()]));
}
