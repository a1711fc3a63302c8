//! Work over independent pieces, each thread with buffers of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Calls `work` with every item, in some order, on the threads of the current pool. A thread takes the next item when it is done with
/// its last, and keeps one of `buffers` all the while; they outlive the call, so that the next one need not allocate.
pub fn for_each<I, B>(items: I, buffers: &mut Vec<B>, work: impl Fn(&mut B, I::Item) + Sync)
where
    I: Iterator + Send,
    B: Default + Send,
{
    let threads = rayon::current_num_threads();
    if buffers.len() < threads {
        buffers.resize_with(threads, B::default);
    }
    let items = Mutex::new(items);
    let buffers: Vec<Mutex<&mut B>> = buffers.iter_mut().map(Mutex::new).collect();
    rayon::broadcast(|context| {
        let mut buffer = lock(&buffers[context.index()]);
        loop {
            let item = lock(&items).next();
            let Some(item) = item else { return };
            work(&mut buffer, item);
        }
    });
}

/// A panic on another thread is on its way to the caller already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut buffers: Vec<Vec<usize>> = Vec::new();
            let mut values = vec![0; 1000];
            for round in 1..=3 {
                pool.install(|| {
                    for_each(values.chunks_mut(7).enumerate(), &mut buffers, |buffer, (task, chunk)| {
                        buffer.push(task);
                        chunk.iter_mut().for_each(|v| *v += 1);
                    });
                });
                assert!(values.iter().all(|v| *v == round));
            }
            assert_eq!(buffers.len(), threads);
            assert_eq!(buffers.iter().map(Vec::len).sum::<usize>(), 3 * 1000usize.div_ceil(7));
        }
    }
}
