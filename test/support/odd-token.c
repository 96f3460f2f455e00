/* A PKCS#11 module that is SoftHSM, but for what the environment says: real tokens lock, refuse and wait. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
#include "pkcs11/pkcs11.h"

static CK_FUNCTION_LIST list;
static CK_FUNCTION_LIST_PTR theirs;

static unsigned long told(const char *name) {
  const char *value = getenv(name);
  return value == NULL ? 0 : strtoul(value, NULL, 0);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR out, CK_ULONG_PTR size) {
  if (told("ODD_SIGN")) return told("ODD_SIGN");
  while (told("ODD_SILENCE")) usleep(50000);
  CK_RV rv = theirs->C_Sign(session, data, length, out, size);
  if (told("ODD_SIGNATURE") && rv == CKR_OK && out != NULL) out[0] ^= 1;
  return rv;
}

static CK_RV token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info) {
  if (told("ODD_INFO")) return told("ODD_INFO");
  CK_RV rv = theirs->C_GetTokenInfo(slot, info);
  info->flags |= told("ODD_FLAGS");
  return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length) {
  unsigned long answer = told("ODD_LOGIN");
  return answer ? answer : theirs->C_Login(session, user, pin, length);
}

static CK_RV generate(CK_SESSION_HANDLE session, CK_MECHANISM_PTR how, CK_ATTRIBUTE_PTR open, CK_ULONG opens,
                      CK_ATTRIBUTE_PTR secret, CK_ULONG secrets, CK_OBJECT_HANDLE_PTR a, CK_OBJECT_HANDLE_PTR b) {
  unsigned long answer = told("ODD_GENERATE");
  return answer ? answer : theirs->C_GenerateKeyPair(session, how, open, opens, secret, secrets, a, b);
}

static CK_RV search(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR wanted, CK_ULONG count) {
  return told("ODD_SEARCH") ? told("ODD_SEARCH") : theirs->C_FindObjectsInit(session, wanted, count);
}

static CK_RV close_session(CK_SESSION_HANDLE session) {
  return told("ODD_CLOSE") ? told("ODD_CLOSE") : theirs->C_CloseSession(session);
}

static CK_RV attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR wanted, CK_ULONG count) {
  if (told("ODD_ATTRIBUTE") == wanted->type && count == 1) return CKR_ATTRIBUTE_TYPE_INVALID;
  CK_RV rv = theirs->C_GetAttributeValue(session, object, wanted, count);
  if (told("ODD_POINT") && rv == CKR_OK && count == 1 && wanted->type == CKA_EC_POINT && wanted->pValue != NULL)
    ((CK_BYTE_PTR)wanted->pValue)[wanted->ulValueLen - 1] ^= 1;
  return rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out) {
  CK_RV (*real)(CK_FUNCTION_LIST_PTR_PTR);
  void *module = dlopen(getenv("REAL_MODULE"), RTLD_NOW);
  if (module == NULL) return CKR_GENERAL_ERROR;
  *(void **)(&real) = dlsym(module, "C_GetFunctionList");
  if (real == NULL || real(&theirs) != CKR_OK) return CKR_GENERAL_ERROR;
  list = *theirs;
  list.C_Sign = sign;
  list.C_GetTokenInfo = token_info;
  list.C_Login = login;
  list.C_FindObjectsInit = search;
  list.C_CloseSession = close_session;
  list.C_GenerateKeyPair = generate;
  list.C_GetAttributeValue = attributes;
  *out = &list;
  return CKR_OK;
}
