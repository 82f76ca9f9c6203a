//! Programs that must not compile, as tests of the documentation: `tests/compile`, where each lies beside a twin that does.

macro_rules! misuse {
    ($($name:ident: $fails:literal;)*) => {
        $(
            #[doc = concat!("```", $fails, "\n", include_str!(concat!("../tests/compile/", stringify!($name), "/fail.rs")), "\n```")]
            mod $name {}
        )*
    };
}

misuse! {
    allocator_cloned: "compile_fail,E0277";
    async_task: "compile_fail,E0521";
    boundary_beside_memory: "compile_fail,E0502";
    command: "compile_fail,E0521";
    component: "compile_fail";
    list_over_the_end: "compile_fail,E0502";
    local: "compile_fail";
    message: "compile_fail";
    resource: "compile_fail";
}
