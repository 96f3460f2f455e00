/* A PKCS#11 module that is SoftHSM, but for C_Sign, which waits for a touch that never comes. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include "pkcs11/pkcs11.h"

static CK_FUNCTION_LIST list;

static CK_RV never(CK_SESSION_HANDLE s, CK_BYTE_PTR d, CK_ULONG n, CK_BYTE_PTR o, CK_ULONG_PTR on) {
  (void)s; (void)d; (void)n; (void)o; (void)on;
  for (;;) sleep(1000);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out) {
  void *module = dlopen(getenv("REAL_MODULE"), RTLD_NOW);
  CK_RV (*real)(CK_FUNCTION_LIST_PTR_PTR);
  CK_FUNCTION_LIST_PTR theirs;
  if (module == NULL) return CKR_GENERAL_ERROR;
  *(void **)(&real) = dlsym(module, "C_GetFunctionList");
  if (real == NULL || real(&theirs) != CKR_OK) return CKR_GENERAL_ERROR;
  list = *theirs;
  list.C_Sign = never;
  *out = &list;
  return CKR_OK;
}
