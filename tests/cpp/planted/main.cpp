// Commits the one planted fault that its argument names.
#include <cstdio>
#include <string_view>

extern "C" {
int planted_use_after_free();
void planted_leak();
int planted_overflow();
int planted_race();
}

int main(int argc, char** argv) {
    const std::string_view name = argc > 1 ? argv[1] : "";
    int result = 0;
    if (name == "use_after_free") result = planted_use_after_free();
    if (name == "leak") planted_leak();
    if (name == "overflow") result = planted_overflow();
    if (name == "race") result = planted_race();
    std::printf("nothing found: %d\n", result);
    return 0;
}
