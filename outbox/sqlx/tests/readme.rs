//! The service in the repository's README is part of the example `service`, which is compiled with these
//! tests.

#[test]
fn the_service_of_the_readme_is_the_example() {
    let readme = include_str!("../../../README.md");
    let shown: Vec<&str> =
        readme.split("```rust,ignore\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert_eq!(shown.len(), 2, "the README shows how a service opens its database, and an enqueue");
    for block in shown {
        assert!(include_str!("../examples/service.rs").contains(block), "not in the example:\n{block}");
    }
}
