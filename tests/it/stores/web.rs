//! Files of a web server that knows `HEAD`, `GET` and `Range`, and no listing.

use std::collections::BTreeMap;

use datafusion::common::runtime::{JoinSet, SpawnedTask};
use datafusion_sessionize::Stores;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use super::project::Small;
use crate::packs::fixture;

/// A web server on loopback; it ends when this is dropped.
struct Web {
    root: String,
    _task: SpawnedTask<()>,
}

async fn start(files: &[(&str, Vec<u8>)]) -> Web {
    let files = files.iter();
    let files = files.map(|(path, bytes)| ((*path).to_owned(), bytes.clone()));
    let files: BTreeMap<_, _> = files.collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Web {
        root: format!("http://{address}"),
        _task: SpawnedTask::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let files = files.clone();
                connections.spawn(async move { drop(answer(stream, &files).await) });
            }
        }),
    }
}

async fn answer(
    stream: TcpStream,
    files: &BTreeMap<String, Vec<u8>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let mut words = lines.first().map_or("", String::as_str).split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().trim_start_matches('/');
    let file = files
        .get(path)
        .filter(|_| ["GET", "HEAD"].contains(&&*method));
    let range = lines.iter().find_map(|l| {
        l.to_lowercase()
            .strip_prefix("range: bytes=")
            .map(str::to_owned)
    });
    let (head, body) = match (file, range) {
        (None, _) if method == "PROPFIND" => {
            ("405 Method Not Allowed".to_owned(), &[][..])
        }
        (None, _) => ("404 Not Found".to_owned(), &[][..]),
        (Some(file), Some(range)) => {
            let (first, last) = range.split_once('-').unwrap_or_default();
            let number = |t: &str| t.parse::<usize>().ok();
            let (first, last) = match (number(first), number(last)) {
                (Some(first), last) => (first, last.unwrap_or(file.len() - 1)),
                (None, suffix) => (file.len() - suffix.unwrap_or(0), file.len() - 1),
            };
            let last = last.min(file.len() - 1);
            let total = file.len();
            let head = format!(
                "206 Partial Content\r\nContent-Range: bytes {first}-{last}/{total}"
            );
            (head, &file[first..=last])
        }
        (Some(file), None) => ("200 OK".to_owned(), &file[..]),
    };
    let head = format!(
        "HTTP/1.1 {head}\r\nContent-Length: {}\r\nETag: \"{}\"\r\nConnection: close\r\n\r\n",
        body.len(),
        file.map_or(0, Vec::len)
    );
    stream.write_all(head.as_bytes()).await?;
    if method != "HEAD" {
        stream.write_all(body).await?;
    }
    stream.shutdown().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_by_its_url() {
    let csv = b"visitor,amount\nada,1\nada,2\n".to_vec();
    let web = start(&[("data/events.csv", csv)]).await;
    let lake = Url::parse(&format!("{}/data/events.csv", web.root)).unwrap();
    let tables = Url::parse("memory:///t").unwrap();
    let project = Small::new(lake, tables, Stores::default());
    project.build().await;
    let rows = project.read().await;
    assert_eq!(rows["totals"].as_deref(), Some(&["ada 2 3".to_owned()][..]));
    let said = project.build().await;
    assert!(said.values().all(|m| m.contains("NO-OP")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_parquet_file() {
    let bytes = std::fs::read(fixture("golden/pages.parquet")).unwrap();
    let web = start(&[("pages.parquet", bytes)]).await;
    let url = format!("{}/pages.parquet", web.root);
    let build = crate::packs::build::Build::new(url).stores(Stores::default());
    assert_eq!(build.run().await.read("sessions").await.len(), 1_304);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_said_in_one_line() {
    let web = start(&[]).await;
    let url = |path: &str| Url::parse(&format!("{}/{path}", web.root)).unwrap();
    let memory = Url::parse("memory:///t").unwrap();
    let project = Small::new(url("none.csv"), memory.clone(), Stores::default());
    let results = project.run().await.unwrap();
    let failed = results
        .results
        .iter()
        .find_map(|r| r.error.as_ref())
        .unwrap();
    let said = format!("{failed} | {}", failed.hint().unwrap_or_default());
    assert!(said.contains("none.csv"), "{said}");
    assert!(said.contains("there is no such file"), "{said}");
    assert!(said.contains("name one file"), "{said}");
    let project = Small::new(memory, url("tables"), Stores::default());
    let said = project.run().await.unwrap_err();
    assert!(said.contains("can be read only"), "{said}");
}
