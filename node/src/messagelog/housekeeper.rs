//! The second thread of the log: zero-fills the next segment and copies leaves out of sealed ones, so that the writer waits
//! for neither. A crash in the middle of either leaves a draft; start-up does again what is missing.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

use super::{
    error::LogError,
    identity::Home,
    marks::Marks,
    segment::{self, Segment},
    status::Status,
};

enum Job {
    Spare(u64, SyncSender<std::io::Result<()>>),
    Leaves(Segment),
}

/// The next segment, as far as it is prepared.
enum Spare {
    None,
    Making(u64, Receiver<std::io::Result<()>>),
    Ready(u64),
}

pub(crate) struct Housekeeper {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    spare: Spare,
    status: Status,
}

impl Housekeeper {
    pub(crate) fn start(home: Home, status: Status, marks: Marks) -> Result<Self, LogError> {
        let (jobs, work) = sync_channel(2);
        let thread = {
            let (path, status) = (home.layout.root(), status.clone());
            let run = move || keep_house(&home, &status, &marks, &work);
            let spawned = std::thread::Builder::new()
                .name("log-housekeeper".into())
                .spawn(run);
            spawned.map_err(LogError::io("could not start a thread for", &path))?
        };
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            spare: Spare::None,
            status,
        })
    }

    fn give(&self, job: Job) -> Result<(), LogError> {
        let jobs = self.jobs.as_ref().ok_or(LogError::Closed)?;
        jobs.send(job).map_err(|_| LogError::Closed)
    }

    /// Has the next segment prepared unless it is already.
    pub(crate) fn prepare(&mut self, file_length: u64) -> Result<(), LogError> {
        if matches!(self.spare, Spare::None) {
            let (done, made) = sync_channel(1);
            self.give(Job::Spare(file_length, done))?;
            self.spare = Spare::Making(file_length, made);
        }
        Ok(())
    }

    /// Waits until a spare of at least this length is there. No space is a refusal; any other error is final.
    pub(crate) fn obtain(&mut self, file_length: u64) -> Result<(), LogError> {
        loop {
            match std::mem::replace(&mut self.spare, Spare::None) {
                Spare::Ready(ready) if ready >= file_length => {
                    self.spare = Spare::Ready(ready);
                    return Ok(());
                }
                Spare::Making(making, made) => match made.recv() {
                    Ok(Ok(())) => self.spare = Spare::Ready(making),
                    Ok(Err(error)) if crate::disk::is_full(&error) => return Err(self.status.no_space()),
                    Ok(Err(error)) => {
                        return Err(self.status.fail(LogError::Failed {
                            report: format!("could not prepare the next segment: {error}"),
                        }));
                    }
                    Err(_) => return Err(LogError::Closed),
                },
                // None, or one that is too short for an unusually long record: made anew.
                Spare::None | Spare::Ready(_) => self.prepare(file_length)?,
            }
        }
    }

    /// The spare became a segment.
    pub(crate) fn used(&mut self) {
        self.spare = Spare::None;
    }

    pub(crate) fn copy_leaves(&self, segment: Segment) -> Result<(), LogError> {
        self.give(Job::Leaves(segment))
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep_house(home: &Home, status: &Status, marks: &Marks, work: &Receiver<Job>) {
    while let Ok(job) = work.recv() {
        match job {
            Job::Spare(file_length, done) => {
                let made = segment::make_spare(&*home.disk, &home.layout, file_length);
                let _ = done.send(made);
            }
            Job::Leaves(sealed) => match copy_leaves(home, marks, &sealed) {
                Ok(()) => {}
                // No space: the next start copies them; nothing that was promised is at stake.
                Err(LogError::Io { error, .. }) if crate::disk::is_full(&error) => {}
                Err(error) => _ = status.fail(error),
            },
        }
    }
}

/// The marks follow the leaf file: a start reads the leaf files that they do not cover.
fn copy_leaves(home: &Home, marks: &Marks, sealed: &Segment) -> Result<(), LogError> {
    segment::copy_leaves(&*home.disk, &home.layout, &home.id, sealed)?;
    let count = segment::count_leaves(&*home.disk, &home.layout, &home.id, sealed.first)?;
    marks.save(home, sealed.first + count)
}
