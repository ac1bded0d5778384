/* Must be stopped by the address sanitizer inside storagedriver_misread. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

uint8_t storagedriver_misread(size_t len);

int main(void)
{
    printf("not noticed: %d\n", (int)storagedriver_misread(24));
    return 0;
}
