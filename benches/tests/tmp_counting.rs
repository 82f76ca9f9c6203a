//! Temporary.
#[test]
fn t() {
    let counting = benches::measure::counting::samples(&benches::measure::Plan::short()).unwrap();
    std::fs::write("/tmp/page-counting.json", serde_json::to_string(&counting).unwrap()).unwrap();
}
