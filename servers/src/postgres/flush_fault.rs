//! A disk that does not flush: the server is told that a flush of its log failed, after it was written.
//!
//! No disk fails on demand, and no setting makes one. So a library is laid between the server and the
//! system, which says so once when it is asked to. It is built here, by the compiler of C that Rust needs
//! for linking anyway.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, output};

/// What is laid between: a flush of a file of the log fails once for every time the switch is there.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fails(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "/pg_wal/") != NULL && unlink(SWITCH) == 0;
}

#define FLUSH(name) \
    int name(int file) { \
        int (*flush)(int) = (int (*)(int))dlsym(RTLD_NEXT, #name); \
        int flushed = flush(file); \
        if (fails(file)) { errno = EIO; return -1; } \
        return flushed; \
    }

FLUSH(fsync)
FLUSH(fdatasync)
"#;

/// The library, and what makes it fail a flush.
#[derive(Debug)]
pub(super) struct FlushFault {
    pub(super) library: PathBuf,
    switch: PathBuf,
}

impl FlushFault {
    /// Builds it in a folder of the server.
    pub(super) fn build(folder: &Path) -> Result<Self> {
        let (source, library) = (folder.join("flush.c"), folder.join("flush.so"));
        let switch = folder.join("fail-a-flush");
        fs::write(&source, SOURCE)?;
        let name = format!("-DSWITCH=\"{}\"", switch.display());
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(name).arg(&source).arg("-ldl");
        output(&mut cc)?;
        Ok(Self { library, switch })
    }

    /// Lets the next flush of the log fail. Whoever owns the folder takes the switch away.
    pub(super) fn arm(&self) -> Result<()> {
        Ok(fs::write(&self.switch, "")?)
    }

    /// Whether it has failed.
    pub(super) fn has_struck(&self) -> bool {
        !self.switch.exists()
    }
}
