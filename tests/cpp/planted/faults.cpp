// Faults planted on purpose: each sanitizer job must find its own, or the job proves nothing.
// Built with the flags of the code under test, as a library that both the program beside it and
// a Python test load.
#include <barrier>
#include <climits>
#include <thread>

extern "C" {

int planted_use_after_free() {
    volatile int* value = new int(1);
    delete value;
    return *value;
}

void planted_leak() {
    static int* volatile kept;
    kept = new int[1000];
    kept = nullptr;
}

int planted_overflow() {
    volatile int value = INT_MAX;
    return value + 1;
}

// A barrier and many rounds: ThreadSanitizer sees only races that overlap.
int planted_race() {
    int value = 0;
    std::barrier start(2);
    auto add = [&] {
        start.arrive_and_wait();
        for (int i = 0; i < 100'000; ++i) ++value;
    };
    std::thread other(add);
    add();
    other.join();
    return value;
}

}  // extern "C"
