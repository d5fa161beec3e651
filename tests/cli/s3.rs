//! The binary against an S3 implementation that is not ours: `moto`, in the Python that
//! `SESSIONIZE_TEST_PYTHON` names. Without it the test says that it is skipped.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::support::Project;

/// A running server; it is stopped when this is dropped.
struct Moto {
    child: Child,
    address: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Moto {
    fn start() -> Option<Self> {
        let python = std::env::var("SESSIONIZE_TEST_PYTHON").ok()?;
        let known = Command::new(&python)
            .args(["-c", "import moto.server"])
            .stderr(Stdio::null())
            .status();
        if !known.is_ok_and(|status| status.success()) {
            return None;
        }
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let child = Command::new(&python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p"])
            .arg(address.port().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let moto = Self {
            child,
            address: address.to_string(),
        };
        let answers = (0..300).any(|_| {
            let answers = TcpStream::connect(&moto.address).is_ok();
            if !answers {
                sleep(Duration::from_millis(100));
            }
            answers
        });
        assert!(answers, "the server does not answer");
        Some(moto)
    }

    fn put(&self, path: &str, body: &str) {
        let mut stream = TcpStream::connect(&self.address).expect("the server answers");
        let request = format!(
            "PUT /{path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
             SignedHeaders=host, Signature=0\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    fn command(&self, project: &Project, arguments: &[&str]) -> Command {
        let mut command = project.command(arguments);
        command
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.address))
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, project: &Project, arguments: &[&str]) -> String {
        let output = self.command(project, arguments).output().expect("it runs");
        let out = String::from_utf8_lossy(&output.stdout);
        let told = String::from_utf8_lossy(&output.stderr);
        format!("exit: {}\n{out}{told}", output.status.code().unwrap_or(-1))
    }
}

fn shop() -> Project {
    let lake = "s3://shop/lake";
    Project::empty()
        .with(
            "models/schema.yml",
            &format!("sources:\n  - name: raw\n    tables:\n      - name: events\n        config:\n          external_location: {lake}\n"),
        )
        .with(
            "models/totals.sql",
            "{{ config(materialized='incremental', unique_key='visitor') }}\n\
             select visitor, count(*) as events, sum(amount) as amount\n\
             from {{ source('raw', 'events') }} group by visitor\n",
        )
        .with(
            "models/summary.sql",
            "{{ config(materialized='table') }}\n\
             select count(*) as visitors, sum(amount) as amount from {{ ref('totals') }}\n",
        )
}

const TABLES: [&str; 2] = ["--location", "s3://shop/tables"];

fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &TABLES[..]].concat()
}

const ROWS: &str = "select visitor, events, amount from totals order by visitor";

#[test]
fn a_project_on_another_s3() {
    let Some(moto) = Moto::start() else {
        // past the capture of the test's output, so that nobody takes it for a pass
        let told = "\nSKIPPED: no second S3; set SESSIONIZE_TEST_PYTHON to a Python with \
                    `moto[server]`\n";
        std::io::stderr()
            .write_all(told.as_bytes())
            .expect("stderr");
        return;
    };
    moto.put("shop", "");
    moto.put("shop/lake/a.csv", "visitor,amount\nada,1\nbob,2\nada,3\n");
    let project = shop();
    let text = moto.run(&project, &with(&["run"]));
    assert!(text.starts_with("exit: 0"), "{text}");
    moto.put("shop/lake/b.csv", "visitor,amount\nbob,4\n");
    let text = moto.run(&project, &with(&["run"]));
    assert!(
        text.contains("updated by key: 1 keys, 1 rows in, 1 rows out"),
        "{text}"
    );
    let text = moto.run(&project, &with(&["query", "-q", ROWS, "--format", "csv"]));
    assert!(text.contains("ada,2,4\nbob,2,6\n"), "{text}");
    let text = moto.run(&project, &with(&["run"]));
    assert_eq!(text.matches("NO-OP").count(), 2, "{text}");
    races(&moto, &project);
    let text = moto.run(&project, &with(&["history", "totals"]));
    assert!(text.starts_with("exit: 0"), "{text}");
    let text = moto.run(&project, &with(&["vacuum", "--retain", "0h"]));
    assert!(text.starts_with("exit: 0"), "{text}");
    let text = moto.run(&project, &with(&["query", "-q", ROWS, "--format", "csv"]));
    assert!(text.contains("ada,2,4\nbob,2,6\ncyd,4,4\n"), "{text}");
    let text = moto.run(&project, &["run", "--location", "s3://nowhere/tables"]);
    assert!(text.starts_with("exit: 1"), "{text}");
    assert!(text.contains("there is no such bucket"), "{text}");
}

fn races(moto: &Moto, project: &Project) {
    for round in 0..4 {
        let path = format!("shop/lake/race-{round}.csv");
        moto.put(&path, "visitor,amount\ncyd,1\n");
        let start = |()| {
            moto.command(project, &with(&["run"]))
                .spawn()
                .expect("it runs")
        };
        let ended = [(), ()]
            .map(start)
            .map(|c| c.wait_with_output().expect("it ends"));
        assert!(ended.iter().any(|o| o.status.success()), "{ended:?}");
        let text = moto.run(project, &with(&["run"]));
        assert!(text.starts_with("exit: 0"), "{text}");
        let text = moto.run(project, &with(&["query", "-q", ROWS, "--format", "csv"]));
        let expected = format!("ada,2,4\nbob,2,6\ncyd,{0},{0}\n", round + 1);
        assert!(text.contains(&expected), "round {round}: {text}");
    }
}
