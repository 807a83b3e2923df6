//! Pictures that no file has around them: rows of red, green and blue bytes, and their size in the query.

use http_guest::parameter;
use http_json::Problem;
use picture::Picture;

use crate::{PIXELS_MAX, USAGE};

/// The size that a query tells, if it tells one.
pub(crate) fn size(query: &str) -> Result<Option<(u32, u32)>, Problem> {
    match (parameter(query, "width"), parameter(query, "height")) {
        (None, None) => Ok(None),
        (Some(width), Some(height)) => match (width.parse(), height.parse()) {
            (Ok(width), Ok(height)) => Ok(Some((width, height))),
            _ => Err(Problem::new(
                400,
                "width and height are whole numbers",
                USAGE,
            )),
        },
        _ => Err(Problem::new(400, "width and height go together", USAGE)),
    }
}

/// The picture of so many columns and rows that the bytes are.
pub(crate) fn picture((width, height): (u32, u32), rgb: Vec<u8>) -> Result<Picture, Problem> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > PIXELS_MAX as u64 {
        let error = format!("{width}x{height} pixels are more than {PIXELS_MAX}");
        return Err(Problem::new(413, error, "make the picture smaller"));
    }
    let (expected, got) = (pixels * 3, rgb.len());
    if pixels == 0 || usize::try_from(expected) != Ok(got) {
        let error = format!("{width}x{height} pixels are {expected} bytes; got: {got}");
        return Err(Problem::new(422, error, "send three bytes of each pixel"));
    }
    Ok(Picture { width, height, rgb })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status<T: std::fmt::Debug>(result: Result<T, Problem>) -> u16 {
        result.unwrap_err().status
    }

    #[test]
    fn size_is_told_whole_or_not_at_all() {
        assert_eq!(size("a=b").unwrap(), None);
        assert_eq!(size("width=3&height=2").unwrap(), Some((3, 2)));
        let wrong = ["width=3", "width=3&height=-1", "width=&height=99999999999"];
        assert_eq!(wrong.map(|query| status(size(query))), [400; 3]);
    }

    #[test]
    fn as_many_bytes_as_the_size_tells_are_a_picture() {
        let picture = picture((2, 1), vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!((picture.width, picture.height), (2, 1));
    }

    #[test]
    fn too_few_too_many_and_none_are_refused() {
        let wrong = [
            picture((2, 1), vec![0; 5]),
            picture((2, 1), vec![0; 7]),
            picture((0, 7), Vec::new()),
            picture((u32::MAX, u32::MAX), Vec::new()),
            picture((4000, 3001), vec![0; 3]),
        ];
        assert_eq!(wrong.map(status), [422, 422, 422, 413, 413]);
    }
}
