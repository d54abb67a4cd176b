use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use underlay_core::ports::{Job, JobEnd};

use crate::job::AttemptInput;

/// Jobs whose end is remembered: who asks again is told, and nothing is begun.
const ENDS_KEPT: usize = 64;
/// The pause before a job is tried again that another program is to do.
const ANOTHERS_PAUSE: Duration = Duration::from_secs(1);

/// What a line is about to do, and how its latest jobs ended. Histories keep it, so fields are added only with a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LineState {
    waiting: Vec<Waiting>,
    ends: VecDeque<Ended>,
}

/// A job that is tried, or is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    job: Job,
    /// The attempt that is next, from 1.
    number: u32,
    /// The last attempt that somebody has asked for.
    asked: u32,
    /// In milliseconds of the line's time; none where it is tried as soon as the line is free.
    not_before: Option<u64>,
    /// Whether the attempt is under way.
    #[serde(default)]
    is_running: bool,
    /// Whether a process has said that another has to do it.
    #[serde(default)]
    is_anothers: bool,
}

impl Waiting {
    fn is_due(&self) -> bool {
        self.asked >= self.number
    }
}

/// What the last attempt at a job came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ended {
    job_id: String,
    number: u32,
    end: JobEnd,
}

impl Ended {
    /// Whether this is the answer to who asks for an attempt. What was given up is begun again by its first attempt, and what
    /// the store did not have may be there now.
    fn answers(&self, number: u32) -> bool {
        match &self.end {
            JobEnd::Done => true,
            JobEnd::Failed { retry_in: Some(_), .. } => self.number == number,
            JobEnd::Failed { retry_in: None, .. } => number > 1,
            _ => false,
        }
    }
}

/// What a line does next.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// Makes an attempt, in any process where another one has to make it than the one that keeps the line.
    Attempt { input: AttemptInput, is_anothers: bool },
    /// Waits for so long, to this moment, or until something is to be done before.
    Pause(Duration, u64),
    /// Waits until somebody asks.
    Idle,
}

impl LineState {
    /// Takes it down that somebody wants an attempt at a job, and says for the end of which attempt to wait.
    pub(super) fn ask(&mut self, job: Job, number: u32) -> u32 {
        let id = job.id();
        if let Some(ended) = self.ends.iter().find(|ended| ended.job_id == id && ended.answers(number)) {
            return ended.number;
        }
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.job.id() == id) {
            // Who asks for a later attempt than the one that is under way was told already what this one comes to.
            let next = waiting.number + u32::from(waiting.is_running && number > waiting.number);
            if waiting.asked == 0 {
                // It was to wait for its time, and is due. A pause after a failure goes on.
                waiting.not_before = None;
            }
            waiting.asked = waiting.asked.max(next);
            return next;
        }
        self.ends.retain(|ended| ended.job_id != id);
        self.waiting.push(Waiting {
            job,
            number,
            asked: number,
            not_before: None,
            is_running: false,
            is_anothers: false,
        });
        number
    }

    /// Takes down a job that is to wait, unless it is known already. The time is in milliseconds.
    pub(super) fn later(&mut self, job: Job, not_before: u64) {
        let id = job.id();
        let is_known = self.waiting.iter().any(|waiting| waiting.job.id() == id)
            || self.ends.iter().any(|ended| ended.job_id == id);
        if !is_known {
            let not_before = Some(not_before);
            self.waiting.push(Waiting {
                job,
                number: 1,
                asked: 0,
                not_before,
                is_running: false,
                is_anothers: false,
            });
        }
    }

    /// What the attempt came to, where it has ended, or the job before it.
    pub(super) fn end(&self, job_id: &str, number: u32) -> Option<&JobEnd> {
        let ended = self.ends.iter().find(|ended| ended.job_id == job_id)?;
        let is_followed = matches!(ended.end, JobEnd::Failed { retry_in: Some(_), .. });
        (ended.number >= number || !is_followed).then_some(&ended.end)
    }

    /// What is next at a moment, in milliseconds. What was asked for goes first: whoever asks knows that the line is free for it.
    pub(super) fn next(&mut self, now: u64) -> Next {
        let Some(first) = self.waiting.iter_mut().min_by_key(|waiting| waiting.not_before) else {
            return Next::Idle;
        };
        let moment = first.not_before.unwrap_or_default();
        if moment > now {
            return Next::Pause(Duration::from_millis(moment - now), moment);
        }
        first.is_running = true;
        let input = AttemptInput { job: first.job.clone(), number: first.number, is_due: first.is_due() };
        Next::Attempt { input, is_anothers: first.is_anothers }
    }

    /// Whether something is to be done before a moment.
    pub(super) fn is_due_before(&self, moment: u64) -> bool {
        self.waiting.iter().any(|waiting| waiting.not_before < Some(moment))
    }

    /// Whether nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes down what an attempt came to at a moment, in milliseconds.
    pub(super) fn ended(&mut self, attempt: &AttemptInput, end: JobEnd, now: u64) {
        let job_id = attempt.job.id();
        let Some(place) = self.waiting.iter().position(|waiting| waiting.job.id() == job_id) else { return };
        let waiting = &mut self.waiting[place];
        waiting.is_running = false;
        let after =
            |pause: Duration| Some(now.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)));
        match &end {
            JobEnd::Anothers { .. } => {
                waiting.not_before = after(ANOTHERS_PAUSE);
                waiting.is_anothers = true;
                return;
            }
            JobEnd::Waits => {
                // Where somebody asked meanwhile it is tried at once.
                if !waiting.is_due() {
                    self.waiting.remove(place);
                }
                return;
            }
            JobEnd::Failed { retry_in: Some(pause), .. } => {
                waiting.number = attempt.number.saturating_add(1);
                waiting.not_before = after(*pause);
            }
            _ => drop(self.waiting.remove(place)),
        }
        self.ends.retain(|ended| ended.job_id != job_id);
        self.ends.push_back(Ended { job_id, number: attempt.number, end });
        let over = self.ends.len().saturating_sub(ENDS_KEPT);
        self.ends.drain(..over);
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::ports::JobTask;
    use underlay_core::words::{CommitId, Lane, TenantId, WorkKind};
    use uuid::Uuid;

    use super::*;

    fn job(number: u32) -> Job {
        Job {
            tenant: TenantId::new("acme").unwrap(),
            task: JobTask::Work { kind: WorkKind::Command, commit: CommitId(Uuid::nil()), number },
            receiver: "account".to_owned(),
            key: "1".to_owned(),
            name: "deposit".to_owned(),
            lane: Lane::Normal,
            correlation_id: None,
            due_at: None,
        }
    }

    fn failed(retry_in: Option<Duration>) -> JobEnd {
        JobEnd::Failed { reason: "no".to_owned(), is_final: false, retry_in }
    }

    /// The number of the job and of its attempt, and whether it was asked for.
    fn attempt(state: &mut LineState, now: u64) -> (AttemptInput, (u32, u32, bool)) {
        let next = state.next(now);
        let Next::Attempt { input: attempt, .. } = next else { panic!("{next:?}") };
        let JobTask::Work { number, .. } = attempt.job.task else { panic!("{attempt:?}") };
        let told = (number, attempt.number, attempt.is_due);
        (attempt, told)
    }

    #[test]
    fn a_job_that_is_asked_for_twice_is_tried_once() {
        let mut state = LineState::default();
        assert_eq!((state.ask(job(0), 1), state.ask(job(1), 1), state.ask(job(0), 1)), (1, 1, 1));
        let (first, told) = attempt(&mut state, 0);
        assert_eq!(told, (0, 1, true));
        state.ended(&first, JobEnd::Done, 0);
        assert_eq!(state.end(&job(0).id(), 1), Some(&JobEnd::Done));
        assert_eq!(state.ask(job(0), 1), 1);
        assert_eq!(attempt(&mut state, 0).1, (1, 1, true), "and the next of the line follows");
    }

    #[test]
    fn an_attempt_that_fails_is_followed_after_its_pause() {
        let mut state = LineState::default();
        state.ask(job(0), 1);
        let first = attempt(&mut state, 0).0;
        state.ended(&first, failed(Some(Duration::from_secs(5))), 1_000);
        assert_eq!(state.ask(job(0), 1), 1, "who has not been told is told");
        assert!(matches!(state.next(1_000), Next::Pause(pause, 6_000) if pause == Duration::from_secs(5)));
        assert_eq!(attempt(&mut state, 6_000).1, (0, 2, false), "by the line's own clock");

        // Another job goes first where somebody asks for it.
        state.ask(job(1), 1);
        let other = attempt(&mut state, 2_000);
        assert_eq!(other.1, (1, 1, true));
        state.ended(&other.0, JobEnd::Done, 2_000);
        assert_eq!(state.ask(job(0), 2), 2);
        assert!(matches!(state.next(2_000), Next::Pause(_, 6_000)), "who asks does not cut the pause");
        assert_eq!(attempt(&mut state, 6_000).1, (0, 2, true));
    }

    #[test]
    fn who_was_told_of_an_attempt_before_the_line_was_waits_for_the_next() {
        let mut state = LineState::default();
        state.ask(job(0), 1);
        let first = attempt(&mut state, 0).0;
        assert_eq!((state.ask(job(0), 1), state.ask(job(0), 2)), (1, 2));
        state.ended(&first, failed(Some(Duration::from_secs(5))), 0);
        assert_eq!((state.end(&job(0).id(), 1).is_some(), state.end(&job(0).id(), 2)), (true, None));
        let second = attempt(&mut state, 5_000);
        assert_eq!(second.1, (0, 2, true));
        state.ended(&second.0, JobEnd::Done, 0);
        assert_eq!(state.end(&job(0).id(), 3), Some(&JobEnd::Done));
    }

    #[test]
    fn a_job_that_was_given_up_is_begun_again_by_its_first_attempt_alone() {
        let mut state = LineState::default();
        state.ask(job(0), 3);
        let last = attempt(&mut state, 0).0;
        state.ended(&last, failed(None), 0);
        assert_eq!((state.ask(job(0), 3), state.is_idle()), (3, true));
        assert_eq!((state.ask(job(0), 1), attempt(&mut state, 0).1), (1, (0, 1, true)));
        assert_eq!(state.end(&job(0).id(), 1), None, "what it came to before is no answer");
    }

    #[test]
    fn what_the_store_did_not_have_is_looked_for_again() {
        let mut state = LineState::default();
        state.ask(job(0), 1);
        let first = attempt(&mut state, 0).0;
        state.ended(&first, JobEnd::Gone, 0);
        assert_eq!(state.end(&job(0).id(), 1), Some(&JobEnd::Gone));
        state.ask(job(0), 1);
        assert_eq!(attempt(&mut state, 0).1, (0, 1, true));
    }

    #[test]
    fn what_is_anothers_or_waits_for_its_line_is_no_end() {
        let mut state = LineState::default();
        state.ask(job(0), 1);
        let first = attempt(&mut state, 0).0;
        state.ended(&first, JobEnd::Anothers { reason: "newer".to_owned() }, 0);
        assert!(matches!(state.next(0), Next::Pause(pause, 1_000) if pause == ANOTHERS_PAUSE));
        let (again, told) = attempt(&mut state, 1_000);
        assert_eq!(told, (0, 1, true));
        state.ended(&again, failed(Some(Duration::ZERO)), 1_000);
        let (by_itself, told) = attempt(&mut state, 1_000);
        assert_eq!(told, (0, 2, false));
        state.ended(&by_itself, JobEnd::Waits, 1_000);
        assert!(state.is_idle() && state.end(&job(0).id(), 2).is_none());
    }

    #[test]
    fn a_job_that_is_to_wait_is_tried_after_its_time_or_when_it_is_asked_for() {
        let mut state = LineState::default();
        for moment in [5_000, 1_000] {
            state.later(job(0), moment);
        }
        state.later(job(1), 2_000);
        assert!(
            matches!(state.next(0), Next::Pause(_, 2_000)),
            "the first moment that was said of it counts"
        );
        assert!(state.is_due_before(2_001) && !state.is_due_before(2_000));
        let second = attempt(&mut state, 2_000);
        assert_eq!(second.1, (1, 1, false));
        state.ended(&second.0, JobEnd::Done, 2_000);
        state.later(job(1), 2_000);
        assert_eq!((state.ask(job(0), 1), attempt(&mut state, 2_000).1), (1, (0, 1, true)));
    }

    #[test]
    fn ends_are_kept_for_the_latest_jobs() {
        let mut state = LineState::default();
        for number in 0..=ENDS_KEPT as u32 {
            state.ask(job(number), 1);
            let next = attempt(&mut state, 0).0;
            state.ended(&next, JobEnd::Done, 0);
        }
        assert_eq!((state.end(&job(0).id(), 1), state.ends.len()), (None, ENDS_KEPT));
        assert_eq!(state.end(&job(1).id(), 1), Some(&JobEnd::Done));
    }
}
