/* dc_only.c with guard pages: an access beyond the end of an allocation is a segmentation fault.

   ziglang has the runtime of UndefinedBehaviorSanitizer, which checks arithmetic and the indices of fixed arrays, but
   not that of AddressSanitizer. The guard pages check the heap in its place.
*/

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, MAX_ALLOCATIONS = 16 };

static struct {
    uint8_t *memory, *mapping;
    size_t mapped;
} allocations[MAX_ALLOCATIONS];

static void *guarded_malloc(size_t size) {
    size_t mapped = (size + PAGE - 1) / PAGE * PAGE + PAGE;
    for (int i = 0; i < MAX_ALLOCATIONS; i++) {
        if (allocations[i].memory)
            continue;
        uint8_t *mapping = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapping == MAP_FAILED)
            return NULL;
        mprotect(mapping + mapped - PAGE, PAGE, PROT_NONE);
        allocations[i].memory = mapping + mapped - PAGE - size;
        allocations[i].mapping = mapping;
        allocations[i].mapped = mapped;
        return allocations[i].memory;
    }
    abort(); /* a leak */
}

static void *guarded_calloc(size_t count, size_t size) { return guarded_malloc(count * size); } /* mmap has zeros */

static void guarded_free(void *memory) {
    if (!memory)
        return;
    for (int i = 0; i < MAX_ALLOCATIONS; i++)
        if (allocations[i].memory == memory) {
            munmap(allocations[i].mapping, allocations[i].mapped);
            allocations[i].memory = NULL;
            return;
        }
    abort(); /* a double free */
}

#define malloc guarded_malloc
#define calloc guarded_calloc
#define free guarded_free

#include "../src/thumbmill/thumbnailer/imaging/codecs/dc_only.c"
