//! Writers that end each other's uploads, on purpose or not.

use super::*;

#[test]
fn of_two_writers_that_start_over_at_once_the_later_one_is_left() {
    for (len, seed) in [0, 5, 40].into_iter().flat_map(|len| (1..40).map(move |n| (len, n))) {
        run(async {
            let fake = Arc::new(Fake::new(TOY, seed));
            let (mut one, mut other) = (fresh(&fake), fresh(&fake));
            let contents = [bytes(1, 0, len), bytes(2, 0, len)];
            write(&mut one, &contents[0]).await.unwrap();
            write(&mut other, &contents[1]).await.unwrap();
            let one = tokio::spawn(async move { close(&mut one).await });
            let closed = [close(&mut other).await, one.await.unwrap()];
            let found = found(&fake).await.expect("nothing is left");
            let left = contents.iter().rev().zip(&closed).any(|(all, ok)| ok.is_ok() && *all == found);
            assert!(left, "{len}, {seed}: {} bytes, {closed:?}, {:?}", found.len(), fake.log());
        });
    }
}
