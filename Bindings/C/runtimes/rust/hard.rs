//! What is hard in Rust: contexts sent across threads, panics in callbacks. hard MODEL
mod llama2;
use llama2::{Context, Failure, Model};
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::sync::mpsc::channel;

const PROMPT: &str = "Once upon a time";

/// Each thread tells one story with each context and hands it on, so every context is used by every thread.
fn contexts_go_round_through_threads(model: &Model, expected: &str) -> Result<usize, Failure> {
    const COUNT: usize = 6;
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..COUNT).map(|_| channel::<Context>()).unzip();
    for (i, sender) in senders.iter().enumerate() { sender.send(model.context(1 + i as u32 % 2)?).unwrap(); }
    std::thread::scope(|scope| {
        for (i, receiver) in receivers.into_iter().enumerate() {
            let next = senders[(i + 1) % COUNT].clone();
            scope.spawn(move || {
                for _ in 0..COUNT {
                    let mut context = receiver.recv().unwrap();
                    assert_eq!(context.story(model, PROMPT).unwrap(), expected);
                    let _ = next.send(context); // the last round finds nobody: dropped here
                }
            });
        }
    });
    Ok(COUNT * COUNT)
}

fn a_panic_in_a_callback_comes_out_and_the_context_lives(model: &Model, expected: &str) -> Result<usize, Failure> {
    let mut context = model.context(2)?;
    let tokens = model.tokenize(PROMPT)?;
    set_hook(Box::new(|_| {})); // expected panics are not printed
    for i in 0..50 {
        context.reset()?;
        let mut pieces = 0;
        let panic = catch_unwind(AssertUnwindSafe(|| context.generate(&tokens, 20, |_| {
            pieces += 1;
            if pieces > i % 10 { panic!("piece {pieces}") }
            true
        })));
        let message = panic.expect_err("a panic").downcast::<String>().expect("its message");
        assert!(*message == format!("piece {}", i % 10 + 1));
    }
    let _ = std::panic::take_hook();
    assert_eq!(context.story(model, PROMPT)?, expected);
    Ok(50)
}

/// What `&mut self` forbids in Rust gives a status in the library, from another thread as from the callback itself.
fn a_second_user_of_a_context_is_refused(model: &Model) -> Result<(), Failure> {
    let mut context = model.context(1)?;
    let handle = context.handle();
    let (mut other, mut own) = (0, 0);
    context.generate(&model.tokenize(PROMPT)?, 20, |_| {
        own = llama2::reset(handle).unwrap_err().status;
        other = std::thread::spawn(move || llama2::reset(handle).unwrap_err().status).join().unwrap();
        false
    })?;
    assert_eq!((own, other), (llama2::E_BUSY, llama2::E_BUSY));
    let invalid = context.generate(&[512], 1, |_| true).unwrap_err();
    assert!(invalid.status == llama2::E_INVALID_TOKEN && invalid.sentence.contains("512"), "{invalid:?}");
    Ok(())
}

fn main() -> Result<(), Failure> {
    let model = Model::load(&std::env::args().nth(1).expect("hard MODEL"))?;
    let expected = model.context(1)?.story(&model, PROMPT)?;
    let stories = contexts_go_round_through_threads(&model, &expected)?;
    let panics = a_panic_in_a_callback_comes_out_and_the_context_lives(&model, &expected)?;
    a_second_user_of_a_context_is_refused(&model)?;
    println!("6 contexts went round 6 threads: {stories} equal stories; {panics} panics came out of callbacks");
    Ok(())
}
