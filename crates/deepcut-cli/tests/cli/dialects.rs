//! Files of annotation tools that a person works on: beside the images, with the shapes asked for.

use super::{assert_status, folder, picture, save, segment, stderr};
use serde_json::Value;

fn json(path: impl AsRef<std::path::Path>) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn labelme_s_files_lie_beside_the_images_and_those_of_a_person_stay() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("in/x")).unwrap();
    save(&at("in/x/a & b.png"));
    picture(64, 40).save(at("in/c.png")).unwrap();
    save(&at("in/d.png"));
    std::fs::write(at("in/c.json"), "{}").unwrap();
    let run = |options: &[&str]| segment(dir.path(), &[&["in", "-o", "in", "--format", "labelme"], options].concat());
    assert_status(&run(&["--label", "duck"]), 0);
    let file = json(at("in/x/a & b.json"));
    assert_eq!(
        (&file["imagePath"], &file["imageData"], &file["shapes"][0]["label"]),
        (&"a & b.png".into(), &Value::Null, &"duck".into())
    );
    // A person corrects one of them.
    let corrected = std::fs::read_to_string(at("in/d.json")).unwrap().replace("duck", "drake");
    std::fs::write(at("in/d.json"), &corrected).unwrap();
    for options in [&["--label", "bird"][..], &["--label", "bird", "--overwrite"]] {
        assert_status(&run(options), 0);
        assert_eq!(json(at("in/x/a & b.json"))["shapes"][0]["label"], "bird");
        assert_eq!(std::fs::read_to_string(at("in/c.json")).unwrap(), "{}");
        assert_eq!(std::fs::read_to_string(at("in/d.json")).unwrap(), corrected);
    }
    // From another folder, the way to the image is in the file.
    assert_status(&segment(dir.path(), &["in", "-o", "out", "--format", "x-anylabeling"]), 0);
    assert_eq!(json(at("out/x/a & b.json"))["imagePath"], "../../in/x/a & b.png");
    let output = segment(dir.path(), &["in", "-o", "both", "--format", "labelme,x-anylabeling"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("two formats write files named"), "{}", stderr(&output));
}

#[test]
fn shapes_are_polygons_or_masks_as_asked_for() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("in")).unwrap();
    save(&at("in/a.png"));
    let run = |options: &[&str]| segment(dir.path(), &[&["in", "-o", "set", "--format", "cvat,label-studio"], options].concat());
    let regions = || json(at("set/tasks.json"))[0]["predictions"][0]["result"].clone();
    let elements = |name: &str| std::fs::read_to_string(at("set/annotations.xml")).unwrap().matches(name).count();
    assert_status(&run(&[]), 0);
    assert_eq!((elements("<mask "), elements("<polygon "), &regions()[0]["type"]), (1, 0, &"brushlabels".into()));
    let output = run(&["--shapes", "polygon", "--label", "a & b"]);
    assert_status(&output, 0);
    assert!(stderr(&output).contains("done before"), "{}", stderr(&output));
    assert_eq!((elements("<mask "), elements("<polygon ") > 0, &regions()[0]["type"]), (0, true, &"polygonlabels".into()));
    assert!(std::fs::read_to_string(at("set/label-studio.xml")).unwrap().contains("<Label value=\"a &amp; b\""));
    assert_status(&run(&["--shapes", "circle"]), 2);
}
