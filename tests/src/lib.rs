//! What the tests of several crates share. The tests themselves lie one folder up, a file a promise.
