/* What may appear in a URL, checked before the store is asked anything. */
#include "registry.h"

static bool lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Components of lower-case letters and digits, held together inside by one of
 * ".", "_", "__" or any number of "-"; components are joined by "/". */
bool name_valid(const char *name)
{
    const char *p = name;
    if (strlen(name) > NAME_LEN)
        return false;
    for (;;) {
        if (!lower_or_digit(*p))
            return false;
        while (lower_or_digit(*p))
            p++;
        if (*p == '\0')
            return true;
        if (*p == '/' || *p == '.')
            p++;
        else if (*p == '_')
            p += p[1] == '_' ? 2 : 1;
        else if (*p == '-')
            p += strspn(p, "-");
        else
            return false;
    }
}

bool tag_valid(const char *tag)
{
    size_t len = strlen(tag);
    if (len == 0 || len > TAG_LEN || *tag == '.' || *tag == '-')
        return false;
    return strspn(tag, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                       "0123456789._-") == len;
}

bool uuid_valid(const char *uuid)
{
    if (strlen(uuid) != UUID_LEN)
        return false;
    for (size_t i = 0; i < UUID_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? uuid[i] != '-' : !hex(uuid[i]))
            return false;
    }
    return true;
}

/* SHA-256 only: the one algorithm every registry and client must know. */
bool digest_valid(const char *digest)
{
    if (strlen(digest) != DIGEST_LEN || strncmp(digest, "sha256:", 7) != 0)
        return false;
    return strspn(digest + 7, "0123456789abcdef") == DIGEST_LEN - 7;
}

/* Digits only, and no more than fit below 2^63. */
bool number_valid(const char *text, uint64_t *out)
{
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len > 18 || text[len] != '\0')
        return false;
    *out = strtoull(text, NULL, 10);
    return true;
}
