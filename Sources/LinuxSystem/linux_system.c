#include "linux_system.h"

char *l2s_thread_text(void) {
    static __thread char text[L2S_THREAD_TEXT_CAPACITY];
    return text;
}
