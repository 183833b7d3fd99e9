use super::*;
use steadfast_core::probe::{Kind, Timing};

fn http(port: u16, path: &str) -> HttpGet {
    let (path, headers) = (path.to_owned(), Vec::new());
    HttpGet { scheme: Scheme::Http, host: None, port, path, headers }
}

#[test]
fn a_probe_that_says_only_what_it_asks_has_kubernetes_default_times() {
    let own = container("livenessProbe: {tcpSocket: {port: 80}}");
    let timing = Timing { delay: 0, period: 10_000, passes: 1, failures: 3 };
    let ask = Ask::Tcp { host: None, port: 80 };
    let probe = Probe { ask, timing, timeout: seconds(1), grace: None };
    assert_eq!(own.probes.of(Kind::Liveness), Some(&probe));
    assert_eq!(own.probes.timing(Kind::Liveness), Some(timing));
    assert_eq!(own.probes.timing(Kind::Startup), None);
    assert_eq!(own.probes.timing(Kind::Readiness), None);
}

#[test]
fn every_time_of_a_probe_is_honoured() {
    let times = "grpc: {port: 9}, initialDelaySeconds: 1, periodSeconds: 2, timeoutSeconds: 3, \
                 failureThreshold: 4";
    let own = container(&format!(
        "startupProbe: {{{times}, terminationGracePeriodSeconds: 6}}\n\
         readinessProbe: {{{times}, successThreshold: 5}}"
    ));
    let startup = own.probes.of(Kind::Startup).expect("a probe");
    let timing = Timing { delay: 1_000, period: 2_000, passes: 1, failures: 4 };
    assert_eq!((startup.timing, startup.timeout), (timing, seconds(3)));
    assert_eq!(startup.grace, Some(seconds(6)));
    let readiness = own.probes.of(Kind::Readiness).expect("a probe");
    assert_eq!(readiness.timing, Timing { passes: 5, ..timing });
}

#[test]
fn every_kind_of_question_is_honoured() {
    let ask = |probe: &str| {
        let ports = "ports: [{name: web, containerPort: 8080}]";
        let own = container(&format!("{ports}\nreadinessProbe: {probe}"));
        own.probes.readiness.expect("a probe").ask
    };
    assert_eq!(
        ask("{exec: {command: [cat, /ok]}}"),
        Ask::Exec(vec!["cat".to_owned(), "/ok".to_owned()])
    );
    assert_eq!(ask("{httpGet: {port: web}}"), Ask::Http(http(8080, "/")));
    assert_eq!(ask("{httpGet: {port: 81, path: ok}}"), Ask::Http(http(81, "/ok")));
    assert_eq!(
        ask("{httpGet: {port: web, path: /a?b, scheme: HTTPS, host: a.example, \
             httpHeaders: [{name: X-A, value: b c}]}}"),
        Ask::Http(HttpGet {
            scheme: Scheme::Https,
            host: Some("a.example".to_owned()),
            headers: vec![("X-A".to_owned(), "b c".to_owned())],
            ..http(8080, "/a?b")
        })
    );
    assert_eq!(
        ask("{tcpSocket: {host: 127.0.0.1, port: web}}"),
        Ask::Tcp { host: Some("127.0.0.1".to_owned()), port: 8080 }
    );
    let grpc = |service: &str| Ask::Grpc { port: 9, service: service.to_owned() };
    assert_eq!(ask("{grpc: {port: 9}}"), grpc(""));
    assert_eq!(ask("{grpc: {port: 9, service: a.B}}"), grpc("a.B"));
}

#[test]
fn hooks_are_honoured() {
    let own = container(
        "lifecycle:\n  postStart: {exec: {command: [/bin/a]}}\n  preStop: {sleep: {seconds: 30}}",
    );
    assert_eq!(own.lifecycle.post_start, Some(Hook::Exec(vec!["/bin/a".to_owned()])));
    assert_eq!(own.lifecycle.pre_stop, Some(Hook::Sleep(seconds(30))));
    let own = container(
        "ports: [{name: web, containerPort: 8080}]\n\
         lifecycle: {preStop: {httpGet: {port: web, path: /drain}}}",
    );
    assert_eq!(own.lifecycle.pre_stop, Some(Hook::Http(http(8080, "/drain"))));
}

#[test]
fn a_sidecar_has_probes_and_hooks() {
    let pod = pod("initContainers:\n- {name: s, image: i, restartPolicy: Always, \
         startupProbe: {grpc: {port: 9}}, lifecycle: {preStop: {sleep: {seconds: 1}}}}");
    assert!(pod.containers[0].probes.startup.is_some());
    assert!(pod.containers[0].lifecycle.pre_stop.is_some());
}

#[test]
fn in_a_probes_command_only_what_is_written_in_env_is_known() {
    let own = container(
        "env:\n- {name: PORT, value: '80'}\n\
         - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}\n\
         livenessProbe: {exec: {command: [ask, '$(IP):$(PORT)', $(NONE), $$(PORT)]}}",
    );
    let Some(Probe { ask: Ask::Exec(command), .. }) = &own.probes.liveness else {
        panic!("a command")
    };
    let expanded = own.probe_command(command).expect("it is short");
    assert_eq!(expanded, ["ask", ":80", "$(NONE)", "$(PORT)"]);
}
