//! What allocating one value is compiled to: the package `floor`, optimised, as assembly that is read here.
//!
//! Beside the moves of the value itself there is a floor under which no checked bump can go: load the cursor, add, compare with
//! the bound, branch, store the cursor; and two instructions to align to more than the minimum. One more asks for the memory
//! that comes next. See `RawArena::value` for why their order matters as well.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use std::env;
use std::path::Path;
use std::process::Command;

/// The register of the first argument, the arena; and of the second where it is the address of a large value.
const ARENA: &str = "rdi";
const VALUE: &str = "rsi";
/// The cursor is the arena's first field, the bound the second.
const CURSOR: &str = "qword ptr [rdi],";
const BOUND: &str = "qword ptr [rdi + 8]";

/// What a function allocates.
struct Case {
    name: &'static str,
    size: usize,
    /// Instructions that it may have beside the value's own moves and the return.
    floor: usize,
}

/// Instructions of a pooled object's taking or freeing at most, prologue and return included: most are those that find out whose
/// it is, and push or pop an address.
const POOL_MOST: usize = 28;

const CASES: [Case; 4] = [
    Case { name: "u32", size: 4, floor: 6 },
    Case { name: "u64", size: 8, floor: 6 },
    Case { name: "words", size: 32, floor: 6 },
    Case { name: "matrix", size: 64, floor: 8 },
];

#[test]
fn allocating_a_value_takes_no_more_instructions_than_the_floor() {
    let assembly = compile();
    let mut faults = Vec::new();
    for case in &CASES {
        for owner in ["frame", "arena"] {
            let name = format!("floor_{owner}_{}", case.name);
            let path = path(&assembly, &name);
            let found = judge(&path, case);
            if !found.is_empty() {
                faults.push(format!("{name}: {}\n\t{}", found.join("; "), path.join("\n\t")));
            }
        }
    }
    assert!(faults.is_empty(), "above the floor:\n\n{}\n", faults.join("\n\n"));
}

#[test]
fn pools_take_and_free_without_a_call() {
    let assembly = compile();
    let mut faults = Vec::new();
    for name in ["floor_pool_take", "floor_pool_free"] {
        let path = path(&assembly, name);
        // A library that may be loaded late asks for its thread-local memory; a program has it beside its own.
        let calls = path.iter().filter(|line| line.starts_with("call") && !line.contains("__tls_get_addr")).count();
        if calls > 0 || path.len() > POOL_MOST {
            faults.push(format!("{name}, {} instructions:\n\t{}", path.len(), path.join("\n\t")));
        }
    }
    assert!(faults.is_empty(), "a call, or more than {POOL_MOST} instructions:\n\n{}\n", faults.join("\n\n"));
}

/// The package `floor`'s assembly.
fn compile() -> String {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("floor");
    let file = target.join("floor.s");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    // What this test is compiled with says nothing about an optimised build.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
        .args(["rustc", "--offline", "--quiet", "--release", "--package", "floor", "--lib", "--target-dir"])
        .arg(&target);
    cargo.args(["--", "-C", "codegen-units=1", "-C", "llvm-args=-x86-asm-syntax=intel"]);
    cargo.arg(format!("--emit=asm={}", file.display()));
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "{cargo:?}: {status}");
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The instructions from a function's entry to its first return: what runs if no branch is taken.
fn path<'a>(assembly: &'a str, name: &str) -> Vec<&'a str> {
    // Of functions that are compiled to the same code, one has it and the others are names for it.
    let alias = assembly.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
    let entry = format!("{}:", alias.unwrap_or(name));
    let mut path = Vec::new();
    for line in assembly.lines().skip_while(|line| !line.starts_with(&entry)).skip(1) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let is_label_or_directive = line.starts_with('.') || line.ends_with(':');
        if line.is_empty() || is_label_or_directive {
            continue;
        }
        path.push(line);
        if line == "ret" {
            return path;
        }
    }
    panic!("there is no function {name}, or no way out of it");
}

/// An instruction: mnemonic, operands, and the register that its operand in memory is addressed by.
struct Instruction<'a> {
    name: &'a str,
    operands: &'a str,
    base: Option<&'a str>,
}

impl<'a> Instruction<'a> {
    fn parse(line: &'a str) -> Self {
        let (name, operands) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let base = operands.split_once('[').and_then(|(_, address)| address.split([' ', ']', '*']).next());
        Self { name, operands, base }
    }

    fn is_move(&self) -> bool {
        self.name.starts_with("mov")
    }

    /// Bytes that are stored, if this moves something into memory.
    fn stored(&self) -> Option<usize> {
        let (width, _) = self.operands.split(',').next()?.split_once(" ptr [")?;
        let width = match width {
            "byte" => 1,
            "word" => 2,
            "dword" => 4,
            "qword" => 8,
            "xmmword" => 16,
            "ymmword" => 32,
            _ => return None,
        };
        self.is_move().then_some(width)
    }

    /// Whether this loads or stores what is allocated: no such move addresses the arena.
    fn is_of_the_value(&self) -> bool {
        match self.base {
            None | Some(ARENA) => false,
            Some(base) => self.stored().is_some() || (self.is_move() && base == VALUE),
        }
    }
}

/// What is wrong with a path.
fn judge(path: &[&str], case: &Case) -> Vec<String> {
    let path: Vec<Instruction<'_>> = path.iter().map(|line| Instruction::parse(line)).collect();
    let path = &path[..path.len() - 1];
    let mut faults = Vec::new();
    let mut check = |holds: bool, fault: String| {
        if !holds {
            faults.push(fault);
        }
    };

    let count = path.iter().filter(|it| !it.is_of_the_value()).count();
    check(
        count <= case.floor,
        format!("{count} instructions beside the value's own moves, where {} suffice", case.floor),
    );

    let stored: usize = path.iter().filter(|it| it.is_of_the_value()).filter_map(Instruction::stored).sum();
    check(stored == case.size, format!("stores {stored} bytes of a value of {}", case.size));

    let branches = path.iter().filter(|it| it.name.starts_with('j')).count();
    check(branches == 1, format!("{branches} branches instead of one"));
    check(path.iter().all(|it| it.name != "jmp" && it.name != "call"), "leaves the straight line".to_owned());

    let is_prefetch = |it: &Instruction<'_>| it.name.starts_with("prefetch");
    let prefetches = path.iter().filter(|it| is_prefetch(it)).count();
    check(prefetches == 1, format!("{prefetches} prefetches instead of one"));

    // What aligns to more than the minimum has the cursor in a register.
    let name = if case.floor == 6 { "add" } else { "mov" };
    let sets_cursor = |it: &Instruction<'_>| it.name == name && it.operands.starts_with(CURSOR);
    let set = path.iter().position(sets_cursor);
    let value = path.iter().rposition(Instruction::is_of_the_value);
    check(value < set, format!("the cursor is not set after the value, by {name}"));

    let is_bound = |it: &Instruction<'_>| it.name == "cmp" && it.operands.ends_with(BOUND);
    let is_plain = |it: &Instruction<'_>| it.base.is_none() || it.is_move() || it.name == "lea" || is_prefetch(it);
    let others = path.iter().enumerate().filter(|&(at, it)| Some(at) != set && !is_plain(it) && !is_bound(it)).count();
    check(others == 0, "something other than a move loads from memory".to_owned());
    faults
}

/// A path as it should be, which the test below spoils.
const SOUND: [&str; 8] = [
    "mov	rax, qword ptr [rdi]",
    "lea	rcx, [rax + 8]",
    "cmp	rcx, qword ptr [rdi + 8]",
    "ja	.LBB0_2",
    "mov	qword ptr [rax], rsi",
    "add	qword ptr [rdi], 8",
    "prefetcht0	byte ptr [rax + 1024]",
    "ret",
];

#[test]
fn whatever_is_added_to_a_path_is_found() {
    let case = &CASES[1];
    let faults = |spoil: fn(&mut Vec<&'static str>)| {
        let mut path = SOUND.to_vec();
        spoil(&mut path);
        judge(&path, case).join("; ")
    };
    assert_eq!(faults(|_| ()), "");
    assert!(faults(|path| path.insert(2, "and	rax, -8")).starts_with("7 instructions"));
    assert!(faults(|path| path.insert(4, "inc	qword ptr [rdi + 16]")).contains("other than a move"));
    assert!(faults(|path| path.insert(0, "mov	rdi, qword ptr [rdx]")).starts_with("7 instructions"));
    assert!(faults(|path| path[2] = "cmp	rcx, qword ptr [rdi + 16]").contains("other than a move"));
    assert!(faults(|path| path.insert(4, "jb	.LBB0_2")).contains("2 branches"));
    assert!(faults(|path| path[3] = "call	refill").contains("leaves the straight line"));
    assert!(faults(|path| path.insert(5, "mov	qword ptr [rsp + 8], rsi")).contains("stores 16 bytes"));
    assert!(faults(|path| path.swap(4, 5)).contains("after the value"));
    assert!(faults(|path| path[5] = "mov	qword ptr [rdi], rcx").contains("by add"));
    assert!(faults(|path| path[5] = "add	qword ptr [rdi + 16], 8").contains("by add"));
    assert!(faults(|path| path[6] = "mov	rcx, rax").contains("0 prefetches"));
}
