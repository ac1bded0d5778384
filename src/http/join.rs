//! Two requests at once.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::error::Result;

/// Runs both. If the first answer is `enough` the second is not waited for and dropped;
/// if not, it is there. What fails first fails both.
pub async fn first_or_both<A, B>(
    first: impl Future<Output = Result<A>>,
    enough: impl Fn(&A) -> bool,
    second: impl Future<Output = Result<B>>,
) -> Result<(A, Option<B>)> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut a, mut b) = (None, None);
    poll_fn(|task| {
        if a.is_none()
            && let Poll::Ready(answer) = first.as_mut().poll(task)
        {
            a = Some(answer?);
        }
        if let Some(answer) = a.take_if(|answer| enough(answer)) {
            return Poll::Ready(Ok((answer, None)));
        }
        if b.is_none()
            && let Poll::Ready(answer) = second.as_mut().poll(task)
        {
            b = Some(answer);
        }
        match (a.take(), b.take()) {
            (Some(a), Some(b)) => Poll::Ready(b.map(|b| (a, Some(b)))),
            (one, other) => {
                (a, b) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::{Context, Waker};

    use super::*;
    use crate::error::Error;

    fn now<T>(work: impl Future<Output = T>) -> Option<T> {
        match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_second_is_waited_for_only_where_the_first_is_not_enough() {
        let enough = |a: &u8| *a == 1;
        let alone = first_or_both(ready(Ok(1)), enough, pending::<Result<u8>>());
        assert_eq!(now(alone).unwrap().unwrap(), (1, None));
        let both = first_or_both(ready(Ok(0)), enough, ready(Ok(2)));
        assert_eq!(now(both).unwrap().unwrap(), (0, Some(2)));
        assert!(now(first_or_both(ready(Ok(0)), enough, pending::<Result<u8>>())).is_none());
    }

    #[test]
    fn a_failure_of_the_second_counts_only_where_it_is_needed() {
        let failing = || ready(Err::<u8, _>(Error::unsupported("no")));
        let enough = |a: &u8| *a == 1;
        assert!(now(first_or_both(ready(Ok(1)), enough, failing())).unwrap().is_ok());
        assert!(now(first_or_both(ready(Ok(0)), enough, failing())).unwrap().is_err());
        assert!(now(first_or_both(pending::<Result<u8>>(), enough, failing())).is_none());
    }
}
