;; Adds 40 and 2 through the application; fails when it is called the first time.
(module
  (import "app" "attempt" (func $attempt (result i32)))
  (import "app" "add" (func $add (param i64)))
  (func (export "_start")
    (if (i32.eqz (call $attempt)) (then unreachable))
    (call $add (i64.const 40))
    (call $add (i64.const 2))))
