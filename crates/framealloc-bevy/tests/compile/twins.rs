// The twins of the programs that must not compile, each a test.

macro_rules! twins {
    ($($name:ident)*) => {
        $(
            #[allow(unreachable_pub, reason = "a program of its own")]
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
