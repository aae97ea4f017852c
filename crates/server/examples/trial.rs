use std::sync::Arc;
use cronlet_object::{Clock, Draft, Transaction, Write, api::Namespace};
use cronlet_server::*;
use cronlet_store::{SqliteDisk, Store};
struct C;
impl Clock for C {
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> jiff::Timestamp { jiff::Timestamp::now() }
}
#[tokio::main]
async fn main() {
    let store = Store::open(Box::new(SqliteDisk::in_memory().unwrap())).unwrap();
    let mut ns = Namespace::default();
    ns.metadata.name = Some("default".into());
    store.commit(Transaction { writes: vec![Write::Create(Draft::of(&ns))], ..Default::default() }).await.unwrap();
    let dir = std::env::args().nth(1).unwrap();
    let pki = Pki::open(std::path::Path::new(&dir).join("pki").as_path(), &server_names("h", "127.0.0.1".parse().unwrap()), C.now()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::fs::write(std::path::Path::new(&dir).join("kubeconfig"), pki.kubeconfig(&url)).unwrap();
    println!("{url}");
    let logs: PodLogs = Arc::new(|_| Ok(Box::pin(futures_util::stream::iter([Ok("hello\n".into())]))));
    let api = Api::new(store, Arc::new(C), 7, logs, &Version { cronlet: "0.1.0".into(), commit: String::new(), platform: "linux/amd64".into() });
    serve(listener, server_config(&pki).unwrap(), api, std::future::pending()).await;
}
