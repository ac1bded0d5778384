//! Gives the development cdylib its soname and `-z nodelete`; generates nothing.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // For the test that the address sanitizer looks at this crate: src/ffi/misread.rs.
    println!("cargo::rustc-check-cfg=cfg(storagedriver_misread)");
    // A packager who must deviate sets this; CMakeLists.txt reads the same variable.
    println!("cargo::rerun-if-env-changed=STORAGEDRIVER_SONAME");
    let soname = std::env::var("STORAGEDRIVER_SONAME")
        .unwrap_or_else(|_| "libstoragedriver.so.1".to_string());
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{soname}");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
