/* SHA-256 of bytes in memory and of bytes in the store. */
#include "registry.h"

#include <nettle/sha2.h>

static void digest_text(struct sha256_ctx *hash, char out[DIGEST_LEN + 1])
{
    uint8_t raw[SHA256_DIGEST_SIZE];
    sha256_digest(hash, sizeof raw, raw);
    memcpy(out, "sha256:", 7);
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(out + 7 + 2 * i, 3, "%02x", raw[i]);
}

void digest_bytes(const void *data, size_t len, char out[DIGEST_LEN + 1])
{
    struct sha256_ctx hash;
    sha256_init(&hash);
    sha256_update(&hash, len, data);
    digest_text(&hash, out);
}

static sd_status add(void *user, const void *data, size_t len)
{
    sha256_update(user, len, data);
    return SD_OK;
}

sd_status digest_stored(const char *path, char out[DIGEST_LEN + 1], sd_error **err)
{
    struct sha256_ctx hash;
    sha256_init(&hash);
    sd_status rc = sd_read_stream(store, NULL, path, 0, add, &hash, NULL, err);
    if (rc == SD_OK)
        digest_text(&hash, out);
    return rc;
}
