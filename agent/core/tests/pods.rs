//! From any mess a pod comes to what is wanted of it, within a bounded number of orders.

use steadfast_core::Digest;
use steadfast_core::gate::Millis;
use steadfast_core::pod::{
    Found, Health, MAX_CONTAINERS, Made, Order, Phase, Pod, RestartPolicy, Role, Seen, order,
};

const WANTED: Digest = Digest([1; 32]);
const OTHER: Digest = Digest([2; 32]);
const WELL: Health = Health { started: true, live: true, ready: true };
const STARTING: Health = Health { started: false, live: true, ready: false };
const DEAD: Health = Health { started: true, live: false, ready: false };
const POLICIES: [RestartPolicy; 3] =
    [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never];

fn pod(restart: RestartPolicy, roles: &[Role]) -> Pod {
    Pod { manifest: WANTED, restart, containers: roles.iter().copied().collect() }
}

fn exited(code: u32) -> Found {
    Found::Exited { code, at: 0, ran: 1 }
}

fn seen(role: Role, found: Found) -> Seen {
    Seen { manifest: WANTED, found, made: Made::ThisBoot, role, restarts: 0 }
}

/// A runtime that carries every order out, in which init containers end well and all others run and are well.
struct Runtime {
    found: Vec<Seen>,
    now: Millis,
    orders: Vec<Order>,
}

impl Runtime {
    fn with(found: Vec<Seen>) -> Runtime {
        Runtime { found, now: 0, orders: Vec::new() }
    }

    fn carry_out(&mut self, wanted: Option<&Pod>, order: Order) {
        match &order {
            Order::Start { container, restarts } => {
                let role = wanted.expect("only what is wanted is started").containers[*container];
                let found = match role {
                    Role::Init => Found::Exited { code: 0, at: self.now, ran: 1 },
                    _ => Found::Running(STARTING),
                };
                let restarts = *restarts;
                let made = Made::ThisBoot;
                self.found[*container] = Seen { manifest: WANTED, found, made, role, restarts };
            }
            Order::Stop(which) => {
                for at in which {
                    assert!(matches!(self.found[*at].found, Found::Running(_)), "{order:?}");
                    self.found[*at].found = Found::Exited { code: 143, at: self.now, ran: 1 };
                }
            }
            Order::Remove(at) => {
                assert!(!matches!(self.found[*at].found, Found::Running(_)), "{order:?}");
                self.found[*at] = Seen::NOTHING;
            }
        }
        self.orders.push(order);
    }

    /// What becomes of a container that nobody touches.
    fn later(&self, at: usize) -> Found {
        match self.found[at] {
            Seen { found: Found::Running(_), role: Role::Init, .. } => exited(0),
            Seen { found: Found::Running(STARTING), .. } => Found::Running(WELL),
            Seen { found, .. } => found,
        }
    }

    /// Until nothing is ordered and nothing is waited for.
    fn settle(&mut self, wanted: Option<&Pod>) {
        let bound = 5 * self.found.len() + 2;
        loop {
            let next = order(wanted, &self.found, self.now);
            let starting =
                (0..self.found.len()).find(|at| self.later(*at) != self.found[*at].found);
            match (next.order, next.look, starting) {
                (Some(order), ..) => self.carry_out(wanted, order),
                (None, _, Some(at)) => self.found[at].found = self.later(at),
                (None, Some(look), None) => {
                    assert!(look > self.now, "it looks again at once, for ever");
                    self.now = look;
                }
                (None, None, None) => return,
            }
            assert!(self.orders.len() <= bound, "{wanted:?}: {:?}", self.orders);
        }
    }
}

/// Everything that may be found of one container.
fn finds(role: Role) -> Vec<Seen> {
    let other = |found| Seen { manifest: OTHER, ..seen(role, found) };
    let running = [WELL, STARTING, DEAD].map(Found::Running);
    let held = Found::Held { until: 7 };
    let own = running.into_iter().chain([Found::Created, held, exited(0), exited(1)]);
    let others = [Found::Created, Found::Running(WELL), exited(0)].map(other);
    let before = [Found::Created, exited(0), exited(1)];
    let before = before.map(|found| Seen { made: Made::Before, ..seen(role, found) });
    own.map(|found| seen(role, found)).chain(others).chain(before).chain([Seen::NOTHING]).collect()
}

fn shapes() -> Vec<Vec<Role>> {
    use Role::{Init, Main, Sidecar};
    vec![
        vec![Main],
        vec![Main, Main],
        vec![Init, Main],
        vec![Sidecar, Main],
        vec![Init, Init, Main],
        vec![Init, Sidecar, Main],
        vec![Sidecar, Init, Main],
        vec![Sidecar, Sidecar, Main],
        vec![Sidecar, Main, Main],
    ]
}

/// Every combination of what may be found of containers with these roles.
fn messes(roles: &[Role]) -> Vec<Vec<Seen>> {
    roles.iter().fold(vec![Vec::new()], |messes, role| {
        let longer = |mess: Vec<Seen>| {
            finds(*role).into_iter().map(move |seen| [mess.clone(), vec![seen]].concat())
        };
        messes.into_iter().flat_map(longer).collect()
    })
}

#[test]
fn any_mess_settles_within_a_bounded_number_of_orders() {
    let mut count = 0;
    for roles in shapes() {
        for (mess, restart) in messes(&roles).iter().flat_map(|mess| POLICIES.map(|it| (mess, it)))
        {
            let wanted = pod(restart, &roles);
            let mut runtime = Runtime::with(mess.clone());
            runtime.settle(Some(&wanted));
            let phase = wanted.phase(&runtime.found);
            let well = match phase {
                Phase::Running => {
                    // One that ended badly and is not started again.
                    let ended = |it: &Seen| {
                        it.role == Role::Main
                            && it.found != exited(0)
                            && matches!(it.found, Found::Exited { .. })
                    };
                    let given_up =
                        restart != RestartPolicy::Always && runtime.found.iter().any(ended);
                    wanted.is_ready(&runtime.found) != given_up
                }
                Phase::Succeeded | Phase::Failed => restart != RestartPolicy::Always,
                Phase::Pending => false,
            };
            assert!(well, "{wanted:?} from {mess:?} comes to {phase:?}: {:?}", runtime.found);
            let foreign = |it: &Seen| it.manifest == OTHER && it.found != Found::Absent;
            assert!(!runtime.found.iter().any(foreign), "{:?}", runtime.found);
            count += 1;
        }
    }
    assert!(count > 10_000, "{count}");
}

#[test]
fn of_what_is_not_wanted_nothing_is_left() {
    for mess in shapes().iter().flat_map(|roles| messes(roles)) {
        let mut runtime = Runtime::with(mess.clone());
        runtime.settle(None);
        assert!(runtime.found.iter().all(|it| it.found == Found::Absent), "{mess:?}");
    }
}

#[test]
fn nothing_is_started_beside_what_another_manifest_left() {
    for roles in shapes() {
        for mess in messes(&roles) {
            let foreign = mess.iter().any(|it| it.manifest == OTHER && it.found != Found::Absent);
            let next = order(Some(&pod(RestartPolicy::Always, &roles)), &mess, 0);
            let starts = matches!(next.order, Some(Order::Start { .. }));
            assert!(!(foreign && starts), "{mess:?}");
        }
    }
}

#[test]
fn a_container_that_the_pod_has_no_more_is_taken_down_with_it() {
    let wanted = pod(RestartPolicy::Always, &[Role::Main]);
    let found = vec![seen(Role::Main, Found::Running(WELL)); 2];
    let mut runtime = Runtime::with(found);
    runtime.settle(Some(&wanted));
    assert_eq!(runtime.found[1], Seen::NOTHING);
    assert!(wanted.is_ready(&runtime.found));
}

#[test]
fn init_containers_run_one_after_the_other_and_sidecars_are_started_before_what_follows() {
    use Role::{Init, Main, Sidecar};
    let wanted = pod(RestartPolicy::Always, &[Init, Sidecar, Init, Main, Main]);
    let mut runtime = Runtime::with(vec![Seen::NOTHING; 5]);
    runtime.settle(Some(&wanted));
    let starts: Vec<_> = (0..5).map(|container| Order::Start { container, restarts: 0 }).collect();
    assert_eq!(runtime.orders, starts);
    let waits = |found: &[Found]| {
        let roles = [Init, Sidecar, Init, Main];
        let seen: Vec<_> = found.iter().zip(roles).map(|(it, role)| seen(role, *it)).collect();
        order(Some(&wanted), &seen, 0).order.is_none()
    };
    assert!(waits(&[Found::Running(WELL)]), "an init container runs");
    assert!(waits(&[exited(0), Found::Running(STARTING)]), "a sidecar is not started yet");
}

#[test]
fn once_a_main_container_was_started_no_init_container_runs_again() {
    let wanted = pod(RestartPolicy::Always, &[Role::Init, Role::Main]);
    let found = [Seen::NOTHING, seen(Role::Main, Found::Running(WELL))];
    assert_eq!(order(Some(&wanted), &found, 0).order, None);
    // After a restart of the node there is no process of either.
    let restarted = [seen(Role::Init, Found::Created), seen(Role::Main, Found::Created)];
    let first = Some(Order::Start { container: 0, restarts: 0 });
    assert_eq!(order(Some(&wanted), &restarted, 0).order, first);
}

#[test]
fn a_pod_begins_anew_with_the_node_unless_it_has_done_its_work() {
    let before = |role, found| Seen { made: Made::Before, ..seen(role, found) };
    let roles = [Role::Init, Role::Main];
    let first = |restart, main| {
        let found = [before(Role::Init, exited(0)), before(Role::Main, main)];
        order(Some(&pod(restart, &roles)), &found, 0)
    };
    let init = Some(Order::Start { container: 0, restarts: 0 });
    assert_eq!(first(RestartPolicy::Always, Found::Created).order, init, "it ran to the end");
    assert_eq!(first(RestartPolicy::Always, exited(0)).order, init, "its pause is over, too");
    assert_eq!(first(RestartPolicy::OnFailure, exited(1)).order, init);
    for (restart, code) in
        [(RestartPolicy::OnFailure, 0), (RestartPolicy::Never, 0), (RestartPolicy::Never, 1)]
    {
        assert_eq!(first(restart, exited(code)).order, None, "{restart:?}, exit {code}");
    }
}

#[test]
fn how_often_a_container_was_started_again_is_known_after_a_restart_of_the_node() {
    let wanted = pod(RestartPolicy::Always, &[Role::Main]);
    let found = Seen { restarts: 4, made: Made::Before, ..seen(Role::Main, exited(1)) };
    let again = Some(Order::Start { container: 0, restarts: 4 });
    assert_eq!(order(Some(&wanted), &[found], 0).order, again);
}

#[test]
fn a_sidecar_ends_after_the_main_containers_and_the_last_one_first() {
    use Role::{Main, Sidecar};
    let runs = |role| seen(role, Found::Running(WELL));
    let found = [Sidecar, Sidecar, Main, Main].map(runs);
    let mut runtime = Runtime::with(found.to_vec());
    runtime.settle(None);
    let stop = |which: &[usize]| Order::Stop(which.iter().copied().collect());
    let removed = [3, 2, 1, 0].map(Order::Remove);
    assert_eq!(runtime.orders[..3], [stop(&[2, 3]), stop(&[1]), stop(&[0])]);
    assert_eq!(runtime.orders[3..], removed);
}

#[test]
fn a_pod_that_has_done_its_work_ends_its_sidecars_and_is_not_started_again() {
    let wanted = pod(RestartPolicy::OnFailure, &[Role::Sidecar, Role::Main]);
    let found = [seen(Role::Sidecar, Found::Running(WELL)), seen(Role::Main, exited(0))];
    let mut runtime = Runtime::with(found.to_vec());
    runtime.settle(Some(&wanted));
    assert_eq!(runtime.orders, [Order::Stop([0].into_iter().collect())]);
    assert_eq!(wanted.phase(&runtime.found), Phase::Succeeded);
    assert!(wanted.is_ready(&runtime.found));
}

#[test]
fn what_ends_is_started_again_as_the_policy_says() {
    use RestartPolicy::{Always, Never, OnFailure};
    let again = |policy, role, code| {
        let roles = if role == Role::Main { vec![role] } else { vec![role, Role::Main] };
        order(Some(&pod(policy, &roles)), &[seen(role, exited(code))], 0)
            .order
            .is_some_and(|order| matches!(order, Order::Start { container: 0, restarts: 1 }))
    };
    let table = |role, code| POLICIES.map(|policy| again(policy, role, code));
    assert_eq!([Always, OnFailure, Never], POLICIES);
    assert_eq!(table(Role::Main, 0), [true, false, false]);
    assert_eq!(table(Role::Main, 1), [true, true, false]);
    assert_eq!(table(Role::Init, 1), [true, true, false]);
    assert_eq!(table(Role::Sidecar, 0), [true, true, true]);
}

#[test]
fn an_init_container_that_fails_for_good_fails_its_pod() {
    let wanted = pod(RestartPolicy::Never, &[Role::Init, Role::Main]);
    let found = [seen(Role::Init, exited(1)), Seen::NOTHING];
    assert_eq!(wanted.phase(&found), Phase::Failed);
    assert_eq!(order(Some(&wanted), &found, 0).order, None);
    assert!(!wanted.is_ready(&found));
}

#[test]
fn each_pause_is_twice_as_long_until_five_minutes_and_forgiven_after_ten_good_ones() {
    let wanted = pod(RestartPolicy::Always, &[Role::Main]);
    let after = |restarts, ran| {
        let found = Found::Exited { code: 1, at: 1000, ran };
        let seen = [Seen { restarts, ..seen(Role::Main, found) }];
        let first = order(Some(&wanted), &seen, 1000);
        let Some(look) = first.look else { return (0, first.order) };
        assert_eq!(order(Some(&wanted), &seen, look - 1).order, None, "the pause is kept");
        (look - 1000, order(Some(&wanted), &seen, look).order)
    };
    let start = |restarts| Some(Order::Start { container: 0, restarts });
    let pauses = [(0, 0), (1, 10), (2, 20), (3, 40), (5, 160), (6, 300), (7, 300), (255, 300)];
    for (restarts, seconds) in pauses {
        let again = u8::saturating_add(restarts, 1);
        assert_eq!(after(restarts, 599_999), (seconds * 1000, start(again)), "{restarts}");
    }
    assert_eq!(after(7, 600_000), (0, start(1)));
}

#[test]
fn nothing_follows_an_init_container_that_failed_and_waits_to_be_started_again() {
    let wanted = pod(RestartPolicy::Always, &[Role::Init, Role::Main]);
    let failed = Seen { restarts: 1, ..seen(Role::Init, exited(1)) };
    let next = order(Some(&wanted), &[failed, Seen::NOTHING], 1);
    assert_eq!((next.order, next.look), (None, Some(10_000)));
}

#[test]
fn of_several_pauses_the_first_to_end_is_waited_for() {
    let wanted = pod(RestartPolicy::Always, &[Role::Main; 3]);
    let paused = |restarts| Seen { restarts, ..seen(Role::Main, exited(1)) };
    let next = order(Some(&wanted), &[paused(3), paused(1), paused(2)], 1);
    assert_eq!((next.order, next.look), (None, Some(10_000)));
}

#[test]
fn what_could_not_be_started_waits_and_holds_up_no_other_main_container() {
    let wanted = pod(RestartPolicy::Never, &[Role::Init, Role::Main, Role::Main]);
    let held = Seen { restarts: 2, ..seen(Role::Main, Found::Held { until: 500 }) };
    let found = [seen(Role::Init, exited(0)), held, Seen::NOTHING];
    let start = |container, restarts| Some(Order::Start { container, restarts });
    assert_eq!(order(Some(&wanted), &found, 499).order, start(2, 0));
    let found = [found[0], held, seen(Role::Main, Found::Running(WELL))];
    let next = order(Some(&wanted), &found, 499);
    assert_eq!((next.order, next.look), (None, Some(500)));
    assert_eq!(order(Some(&wanted), &found, 500).order, start(1, 2), "even if it never restarts");
    assert_eq!((wanted.phase(&found), wanted.is_ready(&found)), (Phase::Running, false));
    let first = [seen(Role::Init, Found::Held { until: 500 }), Seen::NOTHING, Seen::NOTHING];
    assert_eq!(order(Some(&wanted), &first, 0).order, None, "init containers keep their order");
    assert_eq!(wanted.phase(&first), Phase::Pending);
}

#[test]
fn a_container_whose_liveness_probe_fails_is_stopped_and_started_again() {
    let wanted = pod(RestartPolicy::Always, &[Role::Main, Role::Main]);
    let well = seen(Role::Main, Found::Running(WELL));
    let mut runtime = Runtime::with(vec![well, seen(Role::Main, Found::Running(DEAD))]);
    runtime.settle(Some(&wanted));
    let stop = Order::Stop([1].into_iter().collect());
    assert_eq!(runtime.orders, [stop, Order::Start { container: 1, restarts: 1 }]);
    assert_eq!(runtime.found[0], well, "the other one is not disturbed");
}

#[test]
fn a_pod_is_ready_when_each_of_its_containers_is() {
    let wanted = pod(RestartPolicy::Always, &[Role::Init, Role::Sidecar, Role::Main]);
    let ready = |sidecar, main| {
        let running = |role, health| seen(role, Found::Running(health));
        let init = seen(Role::Init, exited(0));
        wanted.is_ready(&[init, running(Role::Sidecar, sidecar), running(Role::Main, main)])
    };
    let unready = Health { ready: false, ..WELL };
    assert!(ready(WELL, WELL));
    assert!(!ready(unready, WELL) && !ready(WELL, unready));
}

#[test]
fn more_than_a_pod_may_have_is_stopped_in_turns_and_no_panic() {
    let found = vec![seen(Role::Main, Found::Running(WELL)); 3 * MAX_CONTAINERS];
    let mut runtime = Runtime::with(found);
    runtime.settle(None);
    assert!(runtime.found.iter().all(|it| it.found == Found::Absent));
}
