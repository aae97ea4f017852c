//! A registry that serves the blobs of a store, and changes one of them or breaks off in the middle.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// What is not as its digest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    None,
    OtherLayer,
    LongerLayer,
    ShorterLayer,
    OtherManifest,
}

/// Serves until the test ends; returns host and port.
pub async fn serve(blobs: Vec<(String, Vec<u8>)>, manifest: String, lie: Lie) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut blobs: HashMap<String, Vec<u8>> = blobs.into_iter().collect();
    // The layer is the largest.
    let layer = blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap().0.clone();
    match lie {
        Lie::None => {}
        Lie::OtherLayer => blobs.get_mut(&layer).unwrap()[600] ^= 1,
        Lie::LongerLayer => blobs.get_mut(&layer).unwrap().extend([0; 512]),
        Lie::ShorterLayer => blobs.get_mut(&layer).unwrap().truncate(1024),
        Lie::OtherManifest => blobs.get_mut(&manifest).unwrap().push(b' '),
    }
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer(stream, &blobs).await;
        }
    });
    address
}

/// How a registry breaks off.
#[derive(Clone, Copy, Debug)]
pub struct Break {
    /// How many bytes of the layer one connection brings, at most.
    pub bytes: usize,
    /// After how many connections it stops to answer for the layer, if it does.
    pub connections_max: Option<usize>,
    /// Whether it gives parts.
    pub has_ranges: bool,
}

/// Serves until the test ends, and breaks off; returns host and port, and where each answer with the layer began.
pub async fn serve_broken(blobs: Vec<(String, Vec<u8>)>, broken: Break) -> (String, Arc<Mutex<Vec<usize>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let blobs: HashMap<String, Vec<u8>> = blobs.into_iter().collect();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let seen = starts.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            answer_broken(stream, &blobs, broken, &seen).await;
        }
    });
    (address, starts)
}

async fn answer_broken(
    stream: TcpStream,
    blobs: &HashMap<String, Vec<u8>>,
    broken: Break,
    seen: &Mutex<Vec<usize>>,
) {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await.unwrap();
    let mut from = None;
    let mut header = String::new();
    while stream.read_line(&mut header).await.unwrap() > 2 {
        let range = header.to_lowercase();
        let range = range.trim().strip_prefix("range: bytes=").and_then(|range| range.strip_suffix('-'));
        from = range.map(|from| from.parse::<usize>().unwrap()).or(from);
        header.clear();
    }
    let digest = request.split(' ').nth(1).unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let largest = blobs.values().map(Vec::len).max();
    let Some(body) = blobs.get(digest) else {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return drop(stream.get_mut().write_all(head.as_bytes()).await);
    };
    let from = from.filter(|_| broken.has_ranges);
    let rest = &body[from.unwrap_or(0)..];
    let mut sent = rest;
    if Some(body.len()) == largest {
        let mut seen = seen.lock().unwrap();
        if broken.connections_max.is_some_and(|max| seen.len() >= max) {
            return;
        }
        seen.push(from.unwrap_or(0));
        sent = &rest[..broken.bytes.min(rest.len())];
    }
    let (status, range) = match from {
        Some(from) => {
            let range = format!("Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
            ("206 Partial Content", range)
        }
        None => ("200 OK", String::new()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{range}Connection: close\r\n\r\n", rest.len());
    let _ = stream.get_mut().write_all(head.as_bytes()).await;
    let _ = stream.get_mut().write_all(sent).await;
}

async fn answer(stream: TcpStream, blobs: &HashMap<String, Vec<u8>>) {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request).await.unwrap();
    let mut header = String::new();
    while stream.read_line(&mut header).await.unwrap() > 2 {
        header.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let digest = path.rsplit('/').next().unwrap_or_default();
    let (status, body) = match blobs.get(digest) {
        Some(body) => ("200 OK", body.as_slice()),
        None if path == "/v2/" => ("200 OK", &[][..]),
        None => ("404 Not Found", &[][..]),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let stream = stream.get_mut();
    // The client may hang up when it has seen enough.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
}
