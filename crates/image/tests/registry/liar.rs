//! A registry that serves the blobs of a store, and changes one of them.

use std::collections::HashMap;

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
