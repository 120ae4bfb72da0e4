/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"

struct qn_hasher {
    XXH3_state_t *xxh3;
    EVP_MD_CTX   *sha256; /* NULL: not asked for */
};

void qn_hasher_discard(struct qn_hasher *hasher)
{
    if (!hasher) return;
    XXH3_freeState(hasher->xxh3);
    EVP_MD_CTX_free(hasher->sha256);
    free(hasher);
}

struct qn_hasher *qn_hasher_new(bool sha256)
{
    struct qn_hasher *hasher = calloc(1, sizeof *hasher);

    if (!hasher) return NULL;
    hasher->xxh3 = XXH3_createState();
    if (!hasher->xxh3) goto fail;
    XXH3_128bits_reset(hasher->xxh3);
    if (sha256) {
        hasher->sha256 = EVP_MD_CTX_new();
        if (!hasher->sha256 || !EVP_DigestInit_ex(hasher->sha256, EVP_sha256(), NULL)) goto fail;
    }
    return hasher;
fail:
    qn_hasher_discard(hasher);
    return NULL;
}

struct qn_hasher *qn_hasher_clone(const struct qn_hasher *hasher)
{
    struct qn_hasher *clone = qn_hasher_new(hasher->sha256 != NULL);

    if (!clone) return NULL;
    XXH3_copyState(clone->xxh3, hasher->xxh3);
    if (hasher->sha256 && !EVP_MD_CTX_copy_ex(clone->sha256, hasher->sha256)) {
        qn_hasher_discard(clone);
        return NULL;
    }
    return clone;
}

void qn_hasher_add(struct qn_hasher *hasher, const void *bytes, size_t size)
{
    if (!size) return;
    XXH3_128bits_update(hasher->xxh3, bytes, size);
    if (hasher->sha256) EVP_DigestUpdate(hasher->sha256, bytes, size);
}

static void to_hex(char *text, const unsigned char *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }
    *text = 0;
}

void qn_hasher_finish(struct qn_hasher *hasher, struct qn_digest *digest)
{
    XXH128_canonical_t canonical;
    unsigned char      sha[EVP_MAX_MD_SIZE];

    memset(digest, 0, sizeof *digest);
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(hasher->xxh3));
    to_hex(digest->xxh3_128, canonical.digest, sizeof canonical.digest);
    if (hasher->sha256 && EVP_DigestFinal_ex(hasher->sha256, sha, NULL)) to_hex(digest->sha256, sha, 32);
    qn_hasher_discard(hasher);
}
