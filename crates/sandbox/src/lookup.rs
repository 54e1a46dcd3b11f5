//! Names that the host's resolver is asked for.
//!
//! It gives up when it likes: nothing ends a lookup before, and each holds one of the
//! threads that guests' files need too. So a lookup is counted until its thread is free
//! again, whether its guest waits, has stopped to wait, or is gone.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime_wasi::runtime::spawn_blocking;

/// Lookups that a guest may have under way, of those of all guests.
const LOOKUPS_MAX: usize = 4;

/// Addresses that are taken of one name.
pub(crate) const ADDRESSES_MAX: usize = 256;

/// One guest's lookups.
#[derive(Clone)]
pub(crate) struct Lookups {
    own: Arc<Semaphore>,
    /// Those of all guests.
    all: Arc<Semaphore>,
}

impl Lookups {
    /// The lookups of a guest, which are among `all`.
    pub(crate) fn new(all: Arc<Semaphore>) -> Self {
        Self {
            own: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            all,
        }
    }

    /// The addresses of `name`. Waits for its turn, and then for the resolver; dropped,
    /// it asks nobody any more, or leaves the resolver alone.
    ///
    /// # Errors
    ///
    /// What the resolver says.
    pub(crate) async fn addresses(&self, name: String) -> io::Result<Vec<IpAddr>> {
        self.run(move || {
            let found = (name.as_str(), 0).to_socket_addrs()?;
            let found = found.map(|address| address.ip().to_canonical());
            Ok(found.take(ADDRESSES_MAX).collect())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        resolve: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        // Its own first: in the queue of all guests stand no more of one guest.
        let own = Arc::clone(&self.own).acquire_owned().await;
        let all = Arc::clone(&self.all).acquire_owned().await;
        let places = (
            own.map_err(io::Error::other)?,
            all.map_err(io::Error::other)?,
        );
        spawn_blocking(move || {
            let _until_it_gives_up = places;
            resolve()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::{sleep, timeout};

    use super::*;

    /// A resolver that answers nobody until it is let.
    #[derive(Clone, Default)]
    struct Resolver {
        asked: Arc<AtomicUsize>,
        answers: Arc<AtomicBool>,
    }

    impl Resolver {
        fn resolve(&self) -> io::Result<()> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            while !self.answers.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        }

        /// Begins many lookups, and gives them up once it was asked by `asked` in all.
        async fn is_asked(&self, lookups: &Lookups, asked: usize) {
            let mut begun = JoinSet::new();
            for _ in 0..100 {
                let (lookups, own) = (lookups.clone(), self.clone());
                begun.spawn(async move { lookups.run(move || own.resolve()).await });
            }
            let all = async {
                while self.asked.load(Ordering::SeqCst) < asked {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(Duration::from_secs(60), all).await.unwrap();
            begun.shutdown().await;
        }
    }

    #[test]
    fn lookups_that_nobody_waits_for_any_more_are_counted_until_they_end() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(32)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let all = Arc::new(Semaphore::new(6));
            let guests: Vec<_> = (0..3).map(|_| Lookups::new(Arc::clone(&all))).collect();
            let resolver = Resolver::default();
            resolver.is_asked(&guests[0], 4).await;
            assert_eq!(all.available_permits(), 2, "one guest has four");
            resolver.is_asked(&guests[0], 4).await;
            assert_eq!(all.available_permits(), 2, "also the next time");
            resolver.is_asked(&guests[1], 6).await;
            assert_eq!(all.available_permits(), 0, "all have six");
            // Another waits until one of them has ended.
            let mut next = Box::pin(guests[2].run(|| Ok(7)));
            let soon = timeout(Duration::from_millis(50), &mut next).await;
            assert!(soon.is_err(), "no place is left for it");
            assert_eq!(resolver.asked.load(Ordering::SeqCst), 6);
            resolver.answers.store(true, Ordering::SeqCst);
            assert_eq!(next.await.unwrap(), 7);
        });
    }

    #[test]
    fn a_name_has_addresses() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let lookups = Lookups::new(Arc::new(Semaphore::new(1)));
        let found = runtime.block_on(lookups.addresses("localhost".to_owned()));
        assert!(found.unwrap().iter().all(IpAddr::is_loopback));
    }
}
