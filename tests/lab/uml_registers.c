/* Lets user-mode Linux 6.1 run on processors whose extended state is larger than it knows of.
 *
 * It saves and restores a process's extended registers with a buffer of fixed size (arch/x86/um, FP_SIZE: 2,696
 * bytes). Reading into a short buffer works; writing must cover the whole state (kernel/fpu/regset.c:
 * xstateregs_set), and with AMX that is some 11 kB, so that every guest process dies at once with "ptrace set fp
 * regs failed, errno = 14". Preloaded into linux.uml, this completes what it writes with what is there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

static long (*real_ptrace)(enum __ptrace_request, pid_t, void *, void *);

/* One guest process is switched to at a time, and the guest's kernel stacks are small. */
static unsigned char whole_state[1 << 16];

__attribute__((constructor)) static void find_real_ptrace(void)
{
    real_ptrace = (long (*)(enum __ptrace_request, pid_t, void *, void *))dlsym(RTLD_NEXT, "ptrace");
}

static long set_extended_state(pid_t pid, const struct iovec *known)
{
    struct iovec whole = {.iov_base = whole_state, .iov_len = sizeof whole_state};

    if (real_ptrace(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &whole) < 0)
        return -1;
    memcpy(whole_state, known->iov_base, known->iov_len < whole.iov_len ? known->iov_len : whole.iov_len);
    return real_ptrace(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);

    if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE)
        return set_extended_state(pid, data);
    return real_ptrace(request, pid, address, data);
}
