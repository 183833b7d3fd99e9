//! What the ports do when they are given an order: RAUC, the boot store, the health checks.

use super::disk::{COMMITTED, Content, TRIAL};
use super::plug::{Leaves, Plug, PowerCut};
use super::sets::staged;
use super::world::{Answer, Power, Running, World, bundle, failed, policy};
use steadfast_core::{Action, Bundle, Cause, Event, Inspected, Node, Sizes, Slot, Update, Verdict};

impl World {
    /// The port that the node waits on does its work, and the node hears of it.
    pub(super) fn answers(
        &mut self,
        running: &Running,
        answer: Answer,
        plug: &mut Plug,
    ) -> Result<Result<(), PowerCut>, &'static str> {
        let node = &running.saved.node;
        let action = node.update.action().expect("a state that waits");
        if let Action::Install { target, bundle, .. } = &action {
            if *target == node.booted {
                return Err("the running slot is never written");
            }
            let digest = &bundle.bundle().digest;
            let bit = 1_u16 << digest.0[0];
            if (self.seen.refused | self.seen.unhealthy) & bit != 0 {
                return Err("a refused release is not tried again");
            }
        }
        if let Action::Commit(slot) = &action
            && !self.may_be_kept(node, *slot)
        {
            return Err("only a slot that passed its gate is committed");
        }
        if matches!(action, Action::Reboot) {
            self.goes_off();
            return Ok(Ok(()));
        }
        let withheld = World::withheld(running);
        let given = withheld.is_none();
        let begins = matches!(action, Action::Install { .. } | Action::Activate(_));
        if given && begins && self.disk.ledger().is_none_or(|it| it.print != running.saved.print) {
            return Err("nothing is begun that a restart would not know of");
        }
        let heard = withheld.map_or_else(|| self.works(action, answer, plug), Ok);
        self.remembers_verdict(&node.update);
        let event = match heard {
            Ok(event) => event,
            Err(cut) => return Ok(Err(cut)),
        };
        let mut done = self.turn(running.clone(), &event, plug);
        if done.is_ok() {
            done = self.clears_sets(plug);
        }
        if done.is_ok() {
            self.keeps_its_word()?;
            self.goes_on(&node.update)?;
        }
        // What was left waits for the next start: the machine goes down now.
        if done.is_ok()
            && let Update::Leaving { trial, .. } = &node.update
        {
            if given && answer == Answer::Done && !self.may_start_again(trial.slot) {
                return Err("a shutdown costs a trial no attempt");
            }
            self.goes_off();
        }
        Ok(done)
    }

    /// A system that passed its gate, or the only one that there is.
    fn may_be_kept(&self, node: &Node, slot: Slot) -> bool {
        let alone = node.committed.is_none() && node.doubt.is_some();
        self.seen.approved[slot as usize] || alone
    }

    /// What was half-written is gone on with or ends; something else does not take its place unseen.
    fn goes_on(&self, before: &Update) -> Result<(), &'static str> {
        let Power::On(running) = &self.power else { return Ok(()) };
        match (before, &running.saved.node.update) {
            (Update::Verifying { begun: Some(begun), .. }, Update::Installing { bundle, .. })
                if *bundle.bundle() != begun.bundle =>
            {
                Err("a bundle is not exchanged for another one")
            }
            _ => Ok(()),
        }
    }

    /// The slot boots next, with all the attempts of a trial.
    fn may_start_again(&self, slot: Slot) -> bool {
        let env = self.disk.boot_env().env;
        env.primary() == Some(slot) && env.left[slot as usize] == TRIAL
    }

    fn works(
        &mut self,
        action: Action,
        answer: Answer,
        plug: &mut Plug,
    ) -> Result<Event, PowerCut> {
        let outcome = |cause| match answer {
            Answer::Done | Answer::Changed => Ok(()),
            Answer::Failed | Answer::FailedAfterwards => Err(failed(cause)),
        };
        let written = answer != Answer::Failed;
        Ok(match action {
            Action::Fetch { .. } => Event::Fetched(outcome(Cause::Network)),
            Action::Verify(offer) => Event::Verified(outcome(Cause::Signature).map(|()| {
                let number: u8 = offer.source.parse().expect("offers are numbers");
                let number = if answer == Answer::Changed { number + 5 } else { number };
                let compatible = policy(self.attempts).compatible;
                Inspected { bundle: bundle(number), compatible, sizes: Sizes { boot: 1, root: 1 } }
            })),
            Action::Stage(source) => {
                if written {
                    self.disk.stage(&source, plug)?;
                }
                Event::Staged(outcome(Cause::Signature).map(|()| staged(&source)))
            }
            Action::Install { bundle, target, set, .. } => {
                if written {
                    let whole = answer == Answer::Done;
                    self.install(bundle.bundle(), target, whole, plug)?;
                    if whole {
                        self.disk.assign(target, set, plug)?;
                    }
                }
                // What could not be streamed to its end is fetched again.
                let stopped = if written { Cause::Network } else { Cause::Write };
                Event::Installed(outcome(stopped))
            }
            Action::Activate(slot) => {
                if written {
                    self.disk.change_boot_env(plug, |env| env.activated(slot, TRIAL))?;
                }
                Event::Activated(outcome(Cause::Write))
            }
            Action::Commit(slot) => {
                if written {
                    self.disk.change_boot_env(plug, |env| env.committed(slot, COMMITTED))?;
                }
                Event::Committed(outcome(Cause::Write))
            }
            Action::Condemn(slot) => {
                if written {
                    self.disk.change_boot_env(plug, |env| env.condemned(slot, TRIAL))?;
                }
                Event::Condemned(outcome(Cause::Write))
            }
            Action::Judge => Event::Judged(match answer {
                Answer::Done => Verdict::Healthy,
                _ => Verdict::Unhealthy(failed(Cause::Deadline)),
            }),
            Action::Reboot => unreachable!("it has no answer"),
        })
    }

    /// What RAUC does: the slot may not boot from its first write to its activation.
    fn install(
        &mut self,
        bundle: &Bundle,
        target: Slot,
        whole: bool,
        plug: &mut Plug,
    ) -> Result<(), PowerCut> {
        self.disk.change_boot_env(plug, |env| env.bad(target))?;
        self.seen.approved[target as usize] = false;
        let slot = &mut self.disk.slots[target as usize];
        plug.effect(|leaves| {
            if leaves != Leaves::Nothing {
                *slot = Content::Broken;
            }
        })?;
        if !whole {
            return Ok(());
        }
        plug.effect(|leaves| {
            if leaves == Leaves::All {
                *slot = Content::Whole(bundle.clone());
            }
        })
    }
}
