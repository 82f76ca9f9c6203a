// The twins of the programs that must not compile, each a test.

macro_rules! twins {
    ($($name:ident)*) => {
        $(
            #[allow(dead_code, unreachable_pub, unused_mut, clippy::needless_pass_by_value, reason = "a program of its own")]
            mod $name {
                include!(concat!(stringify!($name), "/pass.rs"));

                #[test]
                fn runs() {
                    main();
                }
            }
        )*
    };
}

twins! {
    allocator_cloned
    async_task
    boundary_beside_memory
    command
    component
    list_over_the_end
    local
    message
    resource
}
